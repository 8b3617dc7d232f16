import { claim } from "../../claim.ts"
import { failing } from "../law-context.ts"
import { law } from "../law.ts"

/** The regions of machines. */
export const regions = {
  "region.records": law(
    "a region of a machine is that of every record which leads to it, and follows the machine that is attached",
    async ({ setup }) => {
      const { registry, record, put, own } = await setup()
      await put("mach_1", { region: "fra" })
      await put("mach_2", { region: "iad" })
      await registry.create({ name: "misha", machine: "mach_1" })
      await own("misha", "www.example.com")
      const inRecords = async () => {
        const all = await Promise.all((["p:misha", "d:www.example.com", "m:mach_1", "m:mach_2"] as const).map(record))
        return all.map((each) => each?.kind === "machine" && each.region)
      }
      claim(await inRecords()).toEqual(["fra", "fra", "fra", "iad"])
      await registry.attach("misha", "mach_2")
      claim(await inRecords()).toEqual(["iad", "iad", "fra", "iad"])
      claim(await put("mach_2", { region: "syd" })).toMatchObject({ region: "syd" })
      claim(await inRecords()).toEqual(["syd", "syd", "fra", "syd"])
      await put("mach_2")
      claim(await record("p:misha")).not.toHaveProperty("region")
      claim(await registry.readMachine("mach_2")).not.toHaveProperty("region")
    },
  ),
  "region.one": law(
    "a region is one for all machines of a project, and whatever would make it two is refused whole",
    async ({ setup }) => {
      const { registry, record, put } = await setup()
      await put("mach_1", { region: "fra" })
      await put("mach_2", { region: "fra" })
      await put("mach_3", { region: "iad" })
      const rules = [{ match: {}, targets: [{ machine: "mach_2" }] }]
      await registry.create({ name: "misha", machine: "mach_1", replicas: ["mach_2"], rules })
      const before = await record("p:misha")
      await refused(registry.configure("misha", { replicas: ["mach_3"] }))
      await refused(registry.configure("misha", { rules: [{ match: {}, targets: [{}, { machine: "mach_3" }] }] }))
      await refused(registry.attach("misha", "mach_3"))
      await refused(put("mach_2", { region: "iad" }))
      await refused(put("mach_1"))
      await refused(registry.putMachine({ id: "mach_4", type: "fake", externalId: "", metadata: {}, region: "" }))
      claim(await record("p:misha")).toEqual(before)
      claim(await registry.readMachine("mach_2")).toMatchObject({ region: "fra" })
      // Without a machine of its own, a project's rules lead nowhere.
      await registry.detach("misha")
      claim(await put("mach_2", { region: "iad" })).toMatchObject({ region: "iad" })
    },
  ),
}

const refused = async (work: Promise<unknown>): Promise<void> =>
  claim(await failing(work)).toMatchObject({ _tag: "InvalidInput" })
