/** What to do about the codes of generated responses, in one sentence each; `docs/errors` has more. */
const remedies: Readonly<Record<string, string>> = {
  HOSTNAME_MALFORMED:
    "Write the hostname as <port>__<project>.<domain>, <service>--<project>.<domain> or <project>.<domain>.",
  ROUTE_NOT_FOUND:
    "Create the project, or correct its name; `project-ingress explain` shows which keys were looked up.",
  ROUTE_UNKNOWN: "The route store cannot be read: look at its log and at the event `store` of the router.",
  ROUTE_INVALID: "Correct the record: the event `request` of the router names the field.",
  ROUTE_REMOVED: "The project was removed, and its name is kept for a while: use another one, or restore it.",
  NOT_SUPPORTED: "Mount the policy that carries out the setting, or take it out of the record.",
  MACHINE_DETACHED: "Attach a machine to the project.",
  MACHINE_NOT_FOUND: "The provider knows no such machine: attach another one, or correct its record.",
  MACHINE_NOT_RUNNING: "Start the machine, or allow requests to start it (`wake`).",
  MACHINE_STARTING: "Wait until the machine has started, and ask again.",
  MACHINE_MISMATCH:
    "Another machine responds at this address: attach the right one, or wait until the route is known everywhere.",
  MACHINE_UNPROVEN:
    "Give the machine a key of its own that is made of this router's signingKey: project-ingress-machine-proxy keys --machine <id>.",
  MACHINE_RECORD_INVALID:
    "Correct the machine's record, or configure its provider: the event `request` of the router names the field.",
  PROVIDER_AUTH: "Replace the provider's token: it has ended, or may not see this machine.",
  PROVIDER_RATE_LIMITED: "Wait; if it stays so, lower `callsPerMinute` or look for a machine that fails all the time.",
  PROVIDER_UNAVAILABLE:
    "Look at the provider's status page, and whether the router reaches its API; --console shows whether the machine's key is another router's.",
  PORT_CLOSED:
    "Start the app, on localhost or on every address; in the machine, `project-ingress doctor <url> --machine` shows where it listens.",
  PORT_NOT_HTTP: "The port speaks TCP or UDP: open a local port that leads there by `project-ingress forward`.",
  TUNNEL_UNSUPPORTED: "There is no machine proxy in which a tunnel could end: connect to the app's own address.",
  PORT_FORBIDDEN: "Allow the port in the machine proxy (INGRESS_PORTS), or use another one.",
  TICKET_INVALID:
    "Give machine and router keys of one pair: the machine's key must verify what the router's signingKey signs; and set the clocks.",
  TICKET_REQUIRED: "The request reached the machine proxy and not the router: correct what the DNS record leads to.",
  TICKET_WRONG_TARGET: "Let nothing between router and machine rewrite the target header.",
  LOOP_DETECTED: "The machine's address leads back to the router: correct the origin in the machine's record.",
  LOGIN_REQUIRED: "Sign in: the port is private. Programs send a token.",
  ACCESS_DENIED:
    "The visitor may not open this port: set its visibility to public, or mount the policy that lets visitors in.",
  RATE_LIMITED: "Wait as long as Retry-After says.",
  UPSTREAM_TIMEOUT: "The app did not begin its response in time: look at its log, or raise headersTimeoutMs.",
  UPSTREAM_FAILED: "The app, or what is before it, ended the connection or sent what is not HTTP: look at its log.",
  REGION_UNREACHABLE: "Look whether the load balancer of the other region can be reached from this one.",
  PROXY_FAILED: "Look at onError of the router: a policy or the router itself failed.",
}

/** What to do about a code, which may be anything that somebody sent. */
export const remedyFor = (code: string, docs = "docs/errors"): string =>
  Object.hasOwn(remedies, code) ? remedies[code]! : `See ${docs}.`
