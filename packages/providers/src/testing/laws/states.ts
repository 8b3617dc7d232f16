import { equal, failure, tagged } from "../assert.ts"
import { requestTo } from "../context.ts"
import { law } from "../law.ts"
import { isGone, isReached, statusOf, whileDown } from "../machine-actions.ts"

/** The states of a machine, and what a request to a machine that does not run means. */
export const machineStates = {
  "states.running": law("a machine that responds has the state running", ["provider.status"], async (context) => {
    await isReached(context)
    equal((await statusOf(context)).state, "running", "the state")
  }),

  "states.stopped": law("a stopped machine has the state stopped", ["provider.status", "stop", "restart"], (context) =>
    whileDown(context, "stop", async () => equal((await statusOf(context)).state, "stopped", "the state")),
  ),

  "states.stopped-fails": law("a request to a stopped machine is MachineNotRunning", ["stop", "restart"], (context) =>
    whileDown(context, "stop", async () => {
      if (context.provider.capabilities.wake === "request") return isReached(context)
      const error = await failure(context.fetcher({ wake: false })(requestTo("/who")), "a stopped machine")
      // Without `status`, only a closed port can be seen.
      tagged(
        error,
        ...(context.provider.status === undefined ? ["MachineNotRunning", "PortClosed"] : ["MachineNotRunning"]),
      )
    }),
  ),

  "states.suspended": law(
    "a suspended machine has the state suspended",
    ["provider.status", "suspend", "restart"],
    (context) =>
      whileDown(context, "suspend", async () => equal((await statusOf(context)).state, "suspended", "the state")),
  ),

  "states.suspended-fails": law(
    "a request to a suspended machine is MachineNotRunning",
    ["suspend", "restart"],
    (context) =>
      whileDown(context, "suspend", async () => {
        if (context.provider.capabilities.wake === "request") return isReached(context)
        const error = await failure(context.fetcher({ wake: false })(requestTo("/who")), "a suspended machine")
        tagged(error, "MachineNotRunning")
      }),
  ),

  "states.starting": law("a request to a starting machine is MachineStarting", ["starting"], async (context) => {
    const undo = await context.fixture.starting!()
    try {
      const error = await failure(context.fetcher({ wake: false })(requestTo("/who")), "a starting machine")
      tagged(error, "MachineStarting")
      if (context.provider.status !== undefined) equal((await statusOf(context)).state, "starting", "the state")
    } finally {
      await undo()
    }
  }),

  "states.missing": law(
    "a machine that the provider does not know has the state gone",
    ["provider.status", "missing"],
    async (context) => {
      await isGone(context, context.fixture.missing!)
    },
  ),
}

/** Last, because the machine does not come back. */
export const removal = {
  "states.removed": law("a removed machine is MachineNotFound and has the state gone", ["remove"], async (context) => {
    const { machine } = context
    const fetcher = context.fetcher()
    await isReached(context, fetcher)
    await context.fixture.remove!()
    tagged(await failure(fetcher(requestTo("/who")), "a removed machine"), "MachineNotFound")
    tagged(await failure(context.fetcher()(requestTo("/who")), "a removed machine"), "MachineNotFound")
    if (context.provider.status !== undefined) await isGone(context, machine)
  }),
}
