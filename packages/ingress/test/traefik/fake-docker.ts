import type { CommandResult, DockerCommand } from "@project-ingress/ingress/traefik/front"

interface Container {
  readonly id: string
  readonly service: string
  health: string
  isDraining: boolean
}

/** A `docker` with `compose`, for as much of it as is called. */
export const fakeDocker = (settings: {
  readonly running?: number
  /** What becomes of a new container's health. Default `healthy`, after it was asked for once. `none`: it has no check. */
  readonly becomes?: "healthy" | "starting" | "unhealthy" | "none" | "gone"
  readonly hasCompose?: boolean
  readonly refuses?: (args: readonly string[], input: string | undefined) => boolean
}) => {
  const { running = 1, becomes = "healthy", hasCompose = true, refuses = () => false } = settings
  let next = 0
  const start = (health: string): Container => ({
    id: `c${(next += 1)}`,
    service: "traefik",
    health,
    isDraining: false,
  })
  let containers = Array.from({ length: running }, () => start(becomes === "none" ? "none" : "healthy"))
  const calls: string[] = []
  /** How many containers served at each call. */
  const serving: number[] = []
  const done = (stdout = ""): CommandResult => ({ code: 0, stdout, stderr: "" })
  const failed = (stderr: string): CommandResult => ({ code: 1, stdout: "", stderr })
  const command: DockerCommand = async (args, { input, signal }) => {
    signal.throwIfAborted()
    calls.push(args.filter((each, at) => !(each === "--file" || args[at - 1] === "--file")).join(" "))
    serving.push(containers.filter(({ health }) => health === "healthy" || health === "none").length)
    if (args[0] === "compose" && !hasCompose) return failed("docker: unknown command: docker compose")
    if (refuses(args, input)) return failed("services.traefik Additional property imagee is not allowed")
    const line = args.join(" ")
    if (line === "compose version" || line.includes(" config ")) return done("v2")
    if (line.includes(" ps "))
      return done(
        containers
          .filter(({ health }) => health !== "gone" || becomes === "gone")
          .map(({ id }) => `${id}\n`)
          .join(""),
      )
    if (line.includes(" up ")) {
      const scale = /--scale traefik=(\d+)/.exec(line)?.[1]
      const wanted = scale === undefined ? Math.max(1, containers.length) : Number(scale)
      if (scale === undefined) containers = []
      while (containers.length < wanted)
        containers.push(start(scale === undefined ? "healthy" : becomes === "healthy" ? "starting" : becomes))
      return done()
    }
    const each = containers.find(({ id }) => args.includes(id))
    if (args[0] === "inspect") {
      if (each === undefined) return failed("no such container")
      const shown = each.health
      if (shown === "starting" && becomes === "healthy") each.health = "healthy"
      if (each.isDraining) each.health = "unhealthy"
      return done(`${shown !== "gone"} ${shown}\n`)
    }
    if (args[0] === "exec") {
      each!.isDraining = true
      return done()
    }
    if (args[0] === "rm") containers = containers.filter(({ id }) => !args.includes(id))
    return done()
  }
  return { command, calls, serving, running: () => containers.map(({ id }) => id) }
}
