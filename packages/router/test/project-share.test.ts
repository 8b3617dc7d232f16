import { expect, it } from "vitest"
import type { RouteRecord } from "../src/stores/record.ts"
import { projectShare } from "../src/stores/project-share.ts"

const attached: RouteRecord = {
  version: 1,
  epoch: 1,
  kind: "machine",
  machine: { id: "same", type: "local", externalId: "dev", metadata: {} },
}

it("a project, an owner and a machine of the same name are counted apart", () => {
  const records = [{ ...attached, owner: "same" }, { ...attached, externalId: "same" }, attached]
  const shares = records.map((record) => projectShare(record, "p:same"))
  expect(shares).toEqual(["owner same", "project same", "machine same"])
  expect(projectShare({ version: 1, epoch: 1, kind: "detached" }, "p:same")).toBe("p:same")
})
