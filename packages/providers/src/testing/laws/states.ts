import { equal, eventually, failure, ok, tagged, within } from "../assert.ts"
import type { Machine, MachineState, MachineStatus } from "../../contract/machine-provider.ts"
import { forever, law, requestOf } from "../world.ts"
import type { World } from "../world.ts"

const states: ReadonlySet<MachineState> = new Set([
  "running",
  "starting",
  "stopping",
  "stopped",
  "suspended",
  "failed",
  "gone",
  "unknown",
])
const status = async (world: World, machine = world.machine): Promise<MachineStatus> => {
  const found = await world.provider.status!(machine, { signal: forever })
  ok(states.has(found.state), `${found.state} is a state`)
  ok(found.detail === undefined || typeof found.detail === "string", "detail is a text")
  ok(found.uptimeMs === undefined || (found.uptimeMs >= 0 && found.uptimeMs < 1e12), "uptimeMs is an age, not a date")
  return found
}
/** Both say the same: a state, or that there is nothing to have one. */
const gone = async (world: World, machine: Machine): Promise<void> => {
  const found = await status(world, machine).catch((error: unknown) => {
    tagged(error, "MachineNotFound")
    return { state: "gone" }
  })
  equal(found.state, "gone", "the state")
}
const start = async (world: World, machine = world.machine): Promise<void> =>
  void (await world.provider.start!(machine, { signal: forever }))
const reached = async (world: World, fetcher = world.fetcher()): Promise<void> => {
  equal(await (await fetcher(requestOf("/who"))).text(), world.machine.id, "who answered")
}
/** Does something to a machine that does not run, and lets it run again. */
const meanwhile = async (world: World, hook: "stop" | "suspend", then: () => Promise<unknown>): Promise<void> => {
  await world.fixture[hook]!()
  try {
    await then()
  } finally {
    world.machine = await world.fixture.restart!()
  }
}

/** What a machine does when nobody asks it to answer. */
export const machineStates = {
  "states.running": law("a machine that answers is running", ["provider.status"], async (world) => {
    await reached(world)
    equal((await status(world)).state, "running", "the state")
  }),

  "states.stopped": law("a machine that was stopped is stopped", ["provider.status", "stop", "restart"], (world) =>
    meanwhile(world, "stop", async () => equal((await status(world)).state, "stopped", "the state")),
  ),

  "states.stopped-fails": law("a machine that was stopped is MachineNotRunning", ["stop", "restart"], (world) =>
    meanwhile(world, "stop", async () => {
      if (world.provider.capabilities.wake === "request") return reached(world)
      const error = await failure(world.fetcher({ wake: false })(requestOf("/who")), "a stopped machine")
      // Who cannot be asked for a state can only see that nobody listens.
      tagged(
        error,
        ...(world.provider.status === undefined ? ["MachineNotRunning", "PortClosed"] : ["MachineNotRunning"]),
      )
    }),
  ),

  "states.suspended": law(
    "a machine that was suspended is suspended",
    ["provider.status", "suspend", "restart"],
    (world) => meanwhile(world, "suspend", async () => equal((await status(world)).state, "suspended", "the state")),
  ),

  "states.suspended-fails": law("a machine that was suspended is MachineNotRunning", ["suspend", "restart"], (world) =>
    meanwhile(world, "suspend", async () => {
      if (world.provider.capabilities.wake === "request") return reached(world)
      const error = await failure(world.fetcher({ wake: false })(requestOf("/who")), "a suspended machine")
      tagged(error, "MachineNotRunning")
    }),
  ),

  "states.starting": law("a machine on its way up is MachineStarting", ["starting"], async (world) => {
    const undo = await world.fixture.starting!()
    try {
      const error = await failure(world.fetcher({ wake: false })(requestOf("/who")), "a starting machine")
      tagged(error, "MachineStarting")
      if (world.provider.status !== undefined) equal((await status(world)).state, "starting", "the state")
    } finally {
      await undo()
    }
  }),

  "states.missing": law(
    "a machine that the provider does not know is gone",
    ["provider.status", "missing"],
    async (world) => {
      await gone(world, world.fixture.missing!)
    },
  ),
}

/** Who wakes a machine, and who keeps it awake. */
export const wake = {
  "wake.declared": law("who says that start wakes can start", ["wake"], ({ provider }) =>
    ok("start" in provider, "there is a start"),
  ),

  "wake.running": law(
    "starting a machine that runs is no failure, and leaves it as it is",
    ["provider.start"],
    async (world) => {
      const resolve = () => world.provider.resolve(world.machine, { port: world.port, signal: forever })
      const before = await resolve()
      await start(world)
      await start(world)
      equal((await resolve()).epoch, before.epoch, "the epoch")
      await reached(world)
    },
  ),

  "wake.stopped": law(
    "a machine that was stopped and started is reached",
    ["provider.start", "stop", "restart"],
    (world) =>
      meanwhile(world, "stop", async () => {
        await start(world)
        await eventually(async () => {
          try {
            await reached(world)
            return true
          } catch (error) {
            tagged(error, "MachineStarting", "MachineNotRunning", "PortClosed")
            return false
          }
        }, "the machine was not reached after its start")
      }),
  ),

  "wake.by-itself": law(
    "a request to a machine that was stopped wakes it and is answered",
    ["wake", "provider.start", "stop", "restart"],
    (world) => meanwhile(world, "stop", () => reached(world)),
  ),

  "wake.told": law(
    "a machine is where its start says that it is, if that says anything",
    ["provider.start", "stop", "restart"],
    (world) =>
      meanwhile(world, "stop", async () => {
        const told = await world.provider.start!(world.machine, { signal: forever })
        if (told === undefined) return
        const found = await world.provider.resolve(world.machine, { port: world.port, signal: forever })
        equal([told.origin, told.epoch], [found.origin, found.epoch], "what start told")
      }),
  ),

  "wake.twice": law(
    "two starts at once of a stopped machine are no failure",
    ["provider.start", "stop", "restart"],
    (world) => meanwhile(world, "stop", async () => void (await Promise.all([start(world), start(world)]))),
  ),

  "wake.missing": law(
    "starting a machine that the provider does not know is MachineNotFound",
    ["provider.start", "missing"],
    async (world) => {
      tagged(await failure(start(world, world.fixture.missing), "start"), "MachineNotFound")
    },
  ),

  "wake.keep-alive": law("a machine that runs can be kept alive", ["provider.keepAlive"], async (world) => {
    await world.provider.keepAlive!(world.machine, { signal: forever })
    await reached(world)
  }),

  "wake.watch-ends": law("watching ends with its signal", ["provider.watch"], async (world) => {
    const left = new AbortController()
    const watched = (async () => {
      for await (const { externalId, state } of world.provider.watch!({ signal: left.signal })) {
        equal([typeof externalId, states.has(state)], ["string", true], "a change")
      }
    })().catch((error: unknown) => {
      if (!left.signal.aborted) throw error
    })
    setTimeout(() => left.abort(new Error("enough")), 50)
    await within(2_000, watched, "the watch, after its signal")
  }),

  "wake.watch-tells": law(
    "watching tells that a machine stopped",
    ["provider.watch", "stop", "restart"],
    async (world) => {
      const left = new AbortController()
      const told = (async () => {
        for await (const { externalId, state } of world.provider.watch!({ signal: left.signal })) {
          if (externalId === world.machine.externalId && state !== "running" && state !== "starting") return
        }
      })()
      told.catch(() => {})
      try {
        // What happens before the vendor took the subscription is nobody's to tell.
        await new Promise((resolve) => setTimeout(resolve, 200))
        await meanwhile(world, "stop", () => within(5_000, told, "a change"))
      } finally {
        left.abort(new Error("enough"))
      }
    },
  ),
}

/** The last laws: the machine does not come back. */
export const removal = {
  "states.removed": law("a machine that was removed is MachineNotFound, and gone", ["remove"], async (world) => {
    const { machine } = world
    const fetcher = world.fetcher()
    await reached(world, fetcher)
    await world.fixture.remove!()
    tagged(await failure(fetcher(requestOf("/who")), "a machine that was removed"), "MachineNotFound")
    tagged(await failure(world.fetcher()(requestOf("/who")), "a machine that was removed"), "MachineNotFound")
    if (world.provider.status !== undefined) await gone(world, machine)
  }),
}
