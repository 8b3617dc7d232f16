import { expect } from "vitest"

/** Checks that a generated response has a code and tells a stranger nothing: no id of a machine, no address, no cause, no markup. */
export const expectTellsNothing = (response: string, machine: string): void => {
  expect(response).toMatch(/^x-iterate-proxy-error: [A-Za-z_]+\r?$/im)
  const body = response.slice(response.indexOf("\r\n\r\n") + 4)
  expect(body).not.toContain(machine)
  expect(body).not.toMatch(/127\.\d|localhost:|ECONN|EPIPE|\bat .*\.ts|<script/i)
}
