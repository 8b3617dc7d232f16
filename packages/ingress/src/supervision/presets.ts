import { join } from "node:path"
import { accept, checkOptions } from "@project-ingress/router/internal"
import type { SuperviseOptions } from "./supervise-front.ts"

/** Where a front's files are. */
export interface PresetOptions {
  /** The folder of the configuration, the PID file and the logs. */
  readonly folder: string
  /** The program. Default `envoy` and `caddy`. */
  readonly command?: string
  /** The file that the front starts with, in `folder`. Default `bootstrap.yaml` and `caddy.json`. */
  readonly config?: string
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Supervision of an Envoy in the words of ingress managers: `ENVOY_ADMIN_ADDRESS` (127.0.0.1), `ENVOY_ADMIN_PORT` (9901),
 * `ENVOY_STOP_ON_SHUTDOWN` (false). It is ready within 30 s; files `envoy.pid`, `envoy.log` and `envoy-stdout.log`.
 *
 * @throws {TypeError} for a port that is not from 1 to 65535
 */
export const envoySupervision = (env: Environment, options: PresetOptions): SuperviseOptions => {
  const { folder, command = "envoy", config = "bootstrap.yaml" } = checked("envoySupervision", options)
  const args = ["-c", join(folder, config), "--log-path", join(folder, "envoy.log"), "--disable-hot-restart"]
  return {
    command,
    // Without hot restart, for which two of them on one host would share memory.
    args,
    pidFile: join(folder, "envoy.pid"),
    logFile: join(folder, "envoy-stdout.log"),
    admin: {
      url: adminUrl(env["ENVOY_ADMIN_ADDRESS"], env["ENVOY_ADMIN_PORT"], 9901),
      readyPath: "/ready",
      stopPath: "/quitquitquit",
    },
    readyMs: 30_000,
    stopOnShutdown: env["ENVOY_STOP_ON_SHUTDOWN"] === "true",
  }
}

/**
 * Supervision of a Caddy in the words of ingress managers: `CADDY_ADMIN_ADDRESS` (127.0.0.1), `CADDY_ADMIN_PORT` (2019),
 * `CADDY_STOP_ON_SHUTDOWN` (false). It is ready within 10 s; files `caddy.pid` and `caddy.log`.
 *
 * @throws {TypeError} for a port that is not from 1 to 65535
 */
export const caddySupervision = (env: Environment, options: PresetOptions): SuperviseOptions => {
  const { folder, command = "caddy", config = "caddy.json" } = checked("caddySupervision", options)
  return {
    command,
    args: ["run", "--config", join(folder, config)],
    pidFile: join(folder, "caddy.pid"),
    logFile: join(folder, "caddy.log"),
    admin: {
      url: adminUrl(env["CADDY_ADMIN_ADDRESS"], env["CADDY_ADMIN_PORT"], 2019),
      readyPath: "/config/",
      stopPath: "/stop",
    },
    readyMs: 10_000,
    stopOnShutdown: env["CADDY_STOP_ON_SHUTDOWN"] === "true",
  }
}

const checked = (owner: string, options: PresetOptions): PresetOptions => {
  const { string } = accept
  checkOptions(owner, options, { folder: string, command: string, config: string }, { required: ["folder"] })
  return options
}

const adminUrl = (address: string | undefined, port: string | undefined, standard: number): string => {
  const number = port ? Number(port) : standard
  if (!Number.isInteger(number) || number < 1 || number > 65_535) {
    throw new TypeError("the port of the admin API must be an integer from 1 to 65535")
  }
  // What listens on every address is reached on this computer's own.
  const host = !address || address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${number}`
  if (!URL.canParse(url)) throw new TypeError("the address of the admin API must be an IP address or a hostname")
  return url
}
