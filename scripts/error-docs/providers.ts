import { ask } from "./code-page.ts"
import type { CodePages } from "./code-page.ts"

/** Codes of what is between a route and a machine. */
export const providerPages: CodePages = {
  MACHINE_NOT_FOUND: {
    cause:
      "The machine that the project is attached to no longer exists at its provider: it was deleted, or its id in the record is another account's.",
    fix: [
      "Attach another machine to the project.",
      "Check `externalId` of the machine in the record against the provider's own list.",
    ],
    command: `docker inspect --format '{{.State.Status}}' 4f98c0ffee21 # the machine's externalId; on Fly: fly machine status <id>`,
  },
  MACHINE_NOT_RUNNING: {
    cause:
      "The machine exists and is stopped, paused or failed, and the router did not start it: the request does not wake it (a crawler's, a prefetch, `HEAD`; or not a visitor's, by the setting `wake` of the port), the router runs with `wake: false`, its provider cannot start machines, or the start failed.",
    fix: [
      "Start the machine at its provider. The page reloads when it answers.",
      'Open the address in a browser, which wakes by default. Let others wake it, as a monitor, by `wake: "any"` of the port: the table is in docs/waking.md.',
      'Let the router start machines: leave `machines: { wake: true }`, the default, with a provider whose `capabilities.wake` is `"start"`.',
      "If a machine does not stay up, look into its log for why it ends.",
    ],
    command: "docker start 4f98c0ffee21 # the machine's externalId; on Fly: fly machine start <id>",
  },
  MACHINE_STARTING: {
    cause:
      "The machine is starting, and did not respond for as long as the request waits: a page 1.2 s (`pageAfterMs`), a script 1 s (`holdFetchMs`), everybody else `holdMs` or `wakeTimeoutMs` (30 s); or more than `wakeQueue` (1 000) requests already wait for it. The next request finds it further on.",
    fix: [
      "Wait: the page reloads by itself, and `Retry-After` says to programs when to ask again.",
      "If it stays so, the machine runs and its proxy does not: check that the image starts `project-ingress-machine-proxy` and that it listens on the published port.",
    ],
    command: ask("misha.example.com", "--retry 30 --retry-max-time 120"),
  },
  MACHINE_START_FAILED: {
    cause:
      "The machine was started three times in a row and never responded, so that for a minute no request starts it. The router's event says by what the last start failed.",
    fix: [
      "Look into the machine's log at its provider for why it ends, or why its proxy does not listen: the image must start `project-ingress-machine-proxy` on the published port.",
      "Look at the `reason` of the router's events `request` and `provider`: a state `failed`, a start that takes longer than `wakeTimeoutMs` (30 s) …",
      "Then reload, a minute after the last start: that starts it once more. A machine that comes up by itself is reached at once.",
    ],
    command: "docker logs --tail 50 4f98c0ffee21 # the machine's externalId; on Fly: fly logs",
  },
  MACHINE_ARCHIVED: {
    cause:
      "The provider says that the machine is archived: its disk is in a cold store. The router did not start it, because its requests must not, or its provider cannot.",
    fix: [
      "Restore the machine at its provider, or attach another one to the project.",
      "Where the provider restores an archived machine when it is started, as Daytona does, let a request that wakes start it; see docs/waking.md.",
    ],
    command: "daytona start 4f98c0ffee21 # the machine's externalId",
  },
  PROVIDER_NOT_CONFIGURED: {
    cause:
      "The record names a machine whose `type` none of the router's `providers` has: it was written for another router, or a provider was removed from this one.",
    fix: [
      "Add the provider to `providers` of `createRouter`. The router's event lists the types that it has.",
      "Attach a machine of a provider that the router has; correct `type` of the machine where it is misspelt.",
    ],
    command: ask("misha.example.com"),
  },
  MACHINE_MISMATCH: {
    cause:
      "Another machine's proxy responded at the address of this one, because providers give addresses to other machines when one stops, or whoever is there has another TLS key than the one pinned in the record. The router resolves the address again and sends the request once more; here that did not help. From a machine proxy itself (421): the ticket is for another machine.",
    fix: [
      "Wait a second: the next request resolves the address again.",
      "If it stays so, `INGRESS_MACHINE` of the machine is not the `id` of the machine in the record. Both must be the same.",
      "With `pin` in the record, it must be what `project-ingress-machine-proxy pin` prints in the machine. It changes when the machine gets a new key.",
    ],
    command: "docker exec 4f98c0ffee21 printenv INGRESS_MACHINE # must be the machine's id in the record",
  },
  MACHINE_UNPROVEN: {
    cause:
      "The machine proxy that responded holds no secret of its machine, so that it cannot prove to be the machine that the ticket was for: it has the public key alone, or runs with `--insecure`. Whoever came to sit at its address could say the same, so nothing of its response is used.",
    fix: [
      "Give the machine a key of its own: `TICKET_KEY=… npx @project-ingress/machine-proxy keys --machine mach_123` prints its `INGRESS_TICKET_KEYS`; in a program it is `machineKey(signingKey, machine)` of `@project-ingress/forward`.",
      "Where nobody else can ever have a machine's address, as on one developer's computer, set `unprovenMachines: true` of the router, or of `machineFetcher`.",
    ],
    command: "curl -i http://192.0.2.7:8080/ # the machine's log says at its start that it cannot prove who it is",
  },
  PROVIDER_AUTH: {
    cause:
      "The provider, or the edge in front of the machine, rejected the router's credentials, also after they were read again.",
    fix: [
      "Renew the token that the provider was made with (`fly({ token })`, `sprites({ token, urlToken })`, `daytona({ apiKey })`, `e2b({ apiKey })`, `vercelSandbox({ token })`, a Cloudflare Access service token).",
      "Check that the token is allowed to reach this machine: of the right organisation, and not read-only where machines are to be started.",
    ],
    command:
      'curl -i -H "Authorization: Bearer $FLY_API_TOKEN" https://api.machines.dev/v1/apps/my-app/machines # 401: the token; 404: the app',
  },
  PROVIDER_RATE_LIMITED: {
    cause: "The provider's API limits how often it may be called, and where the machine is has to be asked again now.",
    fix: [
      "Wait for as long as `Retry-After` says.",
      "Use one router process per account rather than many, so that they share the cache of addresses; ask the provider for a higher limit.",
    ],
    command: ask("misha.example.com", "--retry 5"),
  },
  PROVIDER_UNAVAILABLE: {
    cause:
      "The machine cannot be reached (502), or not within the time-out (504): its name does not resolve, its address is not allowed, nothing routes there, the provider's API or edge failed, or what responded is not the machine's proxy, whose responses have a stamp.",
    fix: [
      "Look at the `reason` of the router's event of the request, by its id: `ECONNREFUSED`, `ADDRESS_NOT_ALLOWED`, `HTTP 502 without the stamp of the machine's proxy` …",
      "`ADDRESS_NOT_ALLOWED`: the address is private; list its network in `allowCidrs` of the provider.",
      "`PIN_NOT_SUPPORTED`: the record has a `pin`, which only `serveNode`, and `router.fetch` on Node, can check.",
      "`EPROTO` or `ERR_SSL_…`: the record has a `pin`, but the machine proxy there does not speak TLS (`INGRESS_TLS_KEY_FILE`).",
      "Without a stamp: the address leads to another server, or the image runs no machine proxy. An event `proof` with `wrong_stamp` of the same moment: another machine, or a program that pretends to be one, has the address now.",
      "Check from the router's host that the machine proxy responds to its health check.",
    ],
    command:
      "curl -i http://192.0.2.7:8080/__ingress/health # the machine proxy's address: 200, and x-iterate-proxy-stamp: unproven",
  },
  MACHINE_RECORD_INVALID: {
    cause:
      "The machine of this route cannot be used: a field of its `metadata` is invalid for its provider, or no provider of its `type` is configured.",
    fix: [
      "Look at the `reason` of the router's event of the request, by its id: it names the field and what is accepted there.",
      "Give `createRouter` the provider of that type, or correct the machine with `registry.putMachine`.",
    ],
    command: `${ask("misha.example.com", "-sS")} | grep -i x-iterate-proxy-request-id # then find requestId in the router's events`,
  },
}
