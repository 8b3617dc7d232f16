import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import {
  MachineNotRunning,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { Machine, PlatformResponse, Verdict } from "../../contract/machine-provider.ts"

/**
 * What a response of the class itself means, by the texts of `containerFetch` of `Container` (`@cloudflare/containers` 0.3.7)
 * and of `Sandbox` (`@cloudflare/sandbox` 0.12.10). An app's own response bears the stamp and is not classified.
 */
export const classifyContainer = ({ status, header, body = "" }: PlatformResponse, machine: Machine): Verdict => {
  const where = machineRef(machine)
  const notAbleToStart = () => new MachineNotRunning({ ...where, state: "not able to start" })
  const noCapacity = () => new ProviderUnavailable({ ...where, reason: "capacity" })
  const retry = retryAfterMs(header("retry-after"))
  if (status === 429) return new ProviderRateLimited({ ...where, retryAfterMs: retry })
  if (body.startsWith("There is no Container instance available")) return noCapacity()
  if (body.startsWith("Failed to start container")) return isSlow(body) ? "check-status" : notAbleToStart()
  // It may have restarted at this moment.
  if (body.startsWith("Container suddenly disconnected")) return new MachineStarting(where)
  const sandbox = Option.getOrUndefined(decodeSandboxError(body))
  if (sandbox?.code === "CONTAINER_UNAVAILABLE") return noCapacity()
  if (sandbox?.code === "INTERNAL_ERROR" && sandbox.context?.phase === "startup") {
    return status === 503 ? new MachineStarting({ ...where, retryAfterMs: retry }) : notAbleToStart()
  }
  if (status >= 500) return "check-status"
  return new ProviderUnavailable({ ...where, reason: `HTTP ${status} without the stamp of the machine's proxy` })
}

/**
 * Whether the class stopped waiting for a container that may be well: after 20 s in which its port did not respond, or because
 * the client left. It is starting, or nothing listens.
 */
const isSlow = (body: string): boolean =>
  /the container is not listening|connection refused: container port|container port not found|container did not start|network connection lost|timed out|timeout|abort/i.test(
    body,
  )

const decodeSandboxError = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({
      code: Schema.String,
      context: Schema.optionalKey(Schema.Struct({ phase: Schema.optionalKey(Schema.String) })),
    }),
  ),
)
