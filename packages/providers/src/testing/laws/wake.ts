import { equal, eventually, failure, inTime, ok, sleep, tagged } from "../assert.ts"
import { neverAborted } from "../context.ts"
import { law } from "../law.ts"
import { isReached, machineStates, start, whileDown } from "../machine-actions.ts"

/** What starts a machine, what keeps it running, and reports of its changes. */
export const wake = {
  "wake.declared": law("a provider whose capabilities.wake is start has a start", ["wake"], ({ provider }) =>
    ok("start" in provider, "there is a start"),
  ),

  "wake.running": law(
    "starting a running machine succeeds and does not restart it",
    ["provider.start"],
    async (context) => {
      const resolve = () => context.provider.resolve(context.machine, { port: context.port, signal: neverAborted })
      const before = await resolve()
      await start(context)
      await start(context)
      equal((await resolve()).epoch, before.epoch, "the epoch")
      await isReached(context)
    },
  ),

  "wake.stopped": law(
    "a stopped machine is reached after its start",
    ["provider.start", "down", "restart"],
    (context) =>
      whileDown(context, "down", async () => {
        await start(context)
        await eventually(async () => {
          try {
            await isReached(context)
            return true
          } catch (error) {
            tagged(error, "MachineStarting", "MachineNotRunning", "PortClosed")
            return false
          }
        }, "the machine was not reached after its start")
      }),
  ),

  "wake.by-request": law(
    "a request to a stopped machine starts it and gets a response",
    ["wake", "provider.start", "down", "restart"],
    (context) => whileDown(context, "down", () => isReached(context)),
  ),

  "wake.endpoint": law(
    "the endpoint that start gives, if any, is the one that resolve gives",
    ["provider.start", "down", "restart"],
    (context) =>
      whileDown(context, "down", async () => {
        const given = await context.provider.start!(context.machine, { signal: neverAborted })
        if (given === undefined) return
        const found = await context.provider.resolve(context.machine, { port: context.port, signal: neverAborted })
        equal([given.origin, given.epoch], [found.origin, found.epoch], "the endpoint that start gave")
      }),
  ),

  "wake.twice": law(
    "two concurrent starts of a stopped machine succeed",
    ["provider.start", "down", "restart"],
    (context) => whileDown(context, "down", async () => void (await Promise.all([start(context), start(context)]))),
  ),

  "wake.missing": law(
    "starting a machine that the provider does not know is MachineNotFound",
    ["provider.start", "missing"],
    async (context) => {
      tagged(await failure(start(context, context.fixture.missing), "start"), "MachineNotFound")
    },
  ),

  "wake.keep-alive": law("keepAlive of a running machine succeeds", ["provider.keepAlive"], async (context) => {
    await context.provider.keepAlive!(context.machine, { signal: neverAborted })
    await isReached(context)
  }),

  "wake.watch-ends": law("watch ends with its signal", ["provider.watch"], async (context) => {
    const watching = new AbortController()
    const watch = (async () => {
      for await (const { externalId, state } of context.provider.watch!({ signal: watching.signal })) {
        equal([typeof externalId, machineStates.has(state)], ["string", true], "a change")
      }
    })().catch((error: unknown) => {
      if (!watching.signal.aborted) throw error
    })
    setTimeout(() => watching.abort(new Error("the watch is over")), 50)
    await inTime(watch, "the watch, after its signal")
  }),

  "wake.watch-reports": law(
    "watch reports that a machine stopped",
    ["provider.watch", "down", "restart"],
    async (context) => {
      const watching = new AbortController()
      const stopped: string[] = []
      const watch = (async () => {
        for await (const { externalId, state } of context.provider.watch!({ signal: watching.signal })) {
          if (externalId !== context.machine.externalId || state === "running" || state === "starting") continue
          stopped.push(state)
          return
        }
      })()
      watch.catch(() => {})
      try {
        // Nothing shows when the vendor has taken the subscription, so a stop before that is repeated.
        for (let stops = 0; stopped.length === 0 && stops < 5; stops++) {
          await whileDown(context, "down", () => Promise.race([watch, sleep(2_000)]))
        }
        ok(stopped.length > 0, "a stop is reported")
      } finally {
        watching.abort(new Error("the watch is over"))
      }
    },
  ),
}
