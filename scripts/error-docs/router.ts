import { ask } from "./code-page.ts"
import type { CodePages } from "./code-page.ts"

/** Codes of the router's own decisions and of its policies. */
export const routerPages: CodePages = {
  HOSTNAME_MALFORMED: {
    cause:
      "The hostname is under one of the platform's domains but says nothing that the grammar knows: a port that is not one, two ports, a name with a forbidden character. The message names the part. By `router.fetch` it is also the response where `Host` and the URL of the request disagree: both are shown, joined by a comma, or where the `fallback` is to get a hostname that no URL can have, such as `1.2.3.999`.",
    fix: [
      "Write the hostname as `<port>__<project>.<domain>`, `<service>--<project>.<domain>` or `<project>.<domain>`; ports go from 1 to 65535, project names have lower-case letters, digits and single hyphens.",
      "Where a program builds hostnames, let it call `format` of `@project-ingress/hostname`: it returns no hostname that `parse` would refuse.",
    ],
    command: ask("99999__misha.example.com"),
    reproduces: true,
  },
  PROJECT_LIMITED: {
    cause:
      "The project has as many requests in flight, or as many WebSockets open, as one project may have of the router's process (`bounds.project` of `serveNode`); all projects of one owner count as one. Everybody else is served, and nothing was sent to the machine.",
    fix: [
      "Wait a second; the page reloads by itself.",
      "Look at the event `bound_reached` of the router: it names the owner, what was counted and the bound. Where one owner has all projects, raise `bounds.project`.",
      "Look for an app that does not respond any more, or pages that open event streams and WebSockets and do not close them.",
    ],
    command: ask("4096__misha.example.com"),
  },
  MACHINE_LIMITED: {
    cause:
      "The machine has as many requests in flight, or as many WebSockets open, as one machine may have of the router's process (`bounds.machine` of `serveNode`). Other machines are reached, and nothing was sent to this one.",
    fix: [
      "Wait a second; the page reloads by itself.",
      "Look for an app that does not respond any more, or pages that open event streams and WebSockets and do not close them.",
      "Look at the event `bound_reached` of the router, and raise `bounds.machine` if so many are intended.",
    ],
    command: ask("4096__misha.example.com"),
  },
  RATE_LIMITED: {
    cause:
      "The policy `rateLimit` counted more requests of this client, project or machine in a period than its limit allows. Nothing was sent to the machine.",
    fix: [
      "Wait as long as `Retry-After` says.",
      "Look at `reason` of the router's `request` event: it names who was counted.",
      "Raise `burst` and `perSecond`, or the limit of the binding (`simple.limit` in the Worker's configuration), if so many requests are intended.",
    ],
    command: ask("4096__misha.example.com"),
  },
  TOKEN_INVALID: {
    cause:
      "The request carries an access token of the platform (`Authorization: Bearer ingress_…`, or the field of the policy `accessTokens`) that is forged, has ended or was withdrawn by its id; or it carries two. It is refused on public ports as well, so that a token that no longer works is noticed.",
    fix: [
      "Send one token, in one field. Where the app reads `Authorization` itself, send it in `x-ingress-token`.",
      "Ask for a new token if this one has ended: `createToken` of `@project-ingress/router/access`.",
      "As the platform: `reason` of the router's event says which it is, and names the token by its id.",
    ],
    command: ask("4096__misha.example.com", "-H 'Authorization: Bearer ingress_…'"),
  },
  TOKEN_SCOPE: {
    cause:
      "The request carries a valid access token of the platform, but it is for another project or port, or the project's grants were withdrawn since. What counts is the project and the port that the hostname leads to, not the hostname.",
    fix: [
      "Use the token of this project, or ask for one that names this port.",
      "As the platform: `reason` of the router's event says which it is. A token without `port` opens every port of its project; a project without `externalId` is another one under each of its keys.",
    ],
    command: ask("4096__misha.example.com", "-H 'Authorization: Bearer ingress_…'"),
  },
  LINK_INVALID: {
    cause:
      "A share link was opened that is forged, has ended, was withdrawn (its own id, or by the project's `generation`), or is for another project or port than the hostname leads to.",
    fix: [
      "Ask who sent the link for a new one.",
      "Copy all of the link, with what comes after the `#`.",
      "As the platform: `reason` of the router's event says which it is, and names the link by its id.",
    ],
    command: ask("4096__misha.example.com", "", "/_/link"),
  },
  ROUTE_NOT_FOUND: {
    cause:
      "The route store knows for certain that no project, machine or custom domain has this name, or the project has no service of that name. A policy may also give this response to hide a project from a visitor; the two cannot be told apart.",
    fix: [
      "Check the name for typing errors, and whether it is under the domain of this platform (staging and production differ).",
      "Ask the router: `(await router.explain(hostname)).steps` lists the keys that were looked up, with the layer of the store that knew.",
      "Sign in, or ask the project's owner for access, if the project exists.",
    ],
    command: ask("nobody.example.com"),
    reproduces: true,
  },
  TICKETS_LIMITED: {
    cause:
      "So many ports of one machine were asked for in a short time that no further ticket is signed for it now: 64 at once, then 10 a second. Ports that are in use keep theirs; other machines are not affected.",
    fix: [
      "Wait a second and send the request again; `Retry-After` says when.",
      "Look for a scan of the project's ports in the router's events of that minute.",
    ],
    command: "curl -i https://4096--misha.example.com/ # while another client asks for every port of misha",
  },
  ROUTE_UNKNOWN: {
    cause:
      "The route store cannot tell where the hostname leads: it failed, it took longer than 5 s, or it is not loaded yet. The project may well exist; a store that is down never makes one disappear.",
    fix: [
      "Wait: the response says in `Retry-After` when to ask again.",
      "If it stays, look at the router's events of type `store`: they report when a store begins to fail, and its error.",
    ],
    command: `${ask("misha.example.com", "--retry 5")} # waits for Retry-After between attempts`,
  },
  ROUTE_INVALID: {
    cause:
      "The record of this route has a field that is invalid or unknown. Only the hostnames of this record fail. The field is not shown to visitors.",
    fix: [
      "Look at the `reason` of the router's event of the request, by its id: it names the field and what is accepted there.",
      "Write the record through the registry, which refuses such a value when it is written.",
    ],
    command: `${ask("misha.example.com", "-sS")} | grep -i x-iterate-proxy-request-id # then find requestId in the router's events`,
  },
  NOT_SUPPORTED: {
    cause:
      "The record of this route has a setting, as `allowCidrs`, that a policy carries out, and the router has no such policy. It refuses the request, because a setting that is ignored in silence may have been a protection.",
    fix: [
      "Look at the `reason` of the router's event of the request, by its id: it names the field.",
      "Mount the policy that carries it out, or take the field out of the record.",
    ],
    command: `${ask("misha.example.com", "-sS")} | grep -i x-iterate-proxy-request-id # then find requestId in the router's events`,
  },
  PORT_NOT_HTTP: {
    cause:
      "The port's settings say that it speaks `tcp` or `udp`, as a database does. The bytes of an HTTP request would be noise to it, so the router sends none.",
    fix: [
      "Open a local port that leads there with `project-ingress forward`, and connect to that one.",
      "If the app speaks HTTP, take `protocol` out of the port's settings.",
    ],
    command: ask("5432__misha.example.com"),
  },
  PROTOCOL_NOT_CARRIED: {
    cause:
      "The request needs something that its way to the app does not carry, and the message says what: a call of gRPC needs trailers and both directions at once, which not every platform passes, and no router by Fetch (`router.fetch`, Workers); or the settings of a port at an app's own address ask for what its origin or the runtime cannot do; or a tunnel was asked for to a port whose `proxyProtocol` has its app believe a header that the tunnel's client would write. Nothing was sent.",
    fix: [
      'Give the port `protocol: "tcp"` in its settings, open a local port that leads there with `project-ingress forward`, and connect to that one: it works with every provider.',
      "Run the router by `serveNode`, and the machine with a provider that carries trailers: the table is in docs/grpc.md.",
      "Let browsers and simple clients use gRPC-Web, which is plain HTTP.",
      "Connect to a port with `proxyProtocol` by a listener of `serveTcp`, or take `proxyProtocol` out of its settings.",
    ],
    command: `${ask("50051__misha.example.com")} -X POST -H 'content-type: application/grpc'`,
  },
  TUNNEL_UNSUPPORTED: {
    cause:
      "The port's settings say that it speaks `tcp` or `udp`, and its machine is reached at the app's own address, as with the provider `upstream`: there is no machine proxy in which the tunnel could end.",
    fix: [
      "Connect to the app's own address, without the router.",
      "Run a machine proxy beside the app, and name that in the record.",
    ],
    command: "project-ingress forward 5432 misha.example.com",
  },
  TUNNEL_NOT_ALLOWED: {
    cause:
      "A client asked for a tunnel of TCP or UDP to a port whose settings do not say that it speaks that. By a tunnel a client writes every byte that the app reads, so it could claim to be the router, and to be any visitor.",
    fix: [
      'Set `protocol: "tcp"` (or `"udp"`) in the settings of the port, if it is no HTTP app.',
      "Open an HTTP app by its hostname, which needs no tunnel.",
    ],
    command: "project-ingress forward 3000 misha.example.com",
  },
  ROUTE_REMOVED: {
    cause: "The project was removed, and its name is kept from others for a while. The record is a tombstone.",
    fix: [
      "Open the project by its new name, if it was created again under another one.",
      "Create the project again with the same owner once `reusableAt` of the registry's `NameTaken` has passed.",
    ],
    command: ask("misha.example.com"),
  },
  MACHINE_DETACHED: {
    cause: "The project exists, and no machine is attached to it at the moment.",
    fix: [
      "Attach a machine: `registry.attach(project, machine)`, or the button of your platform that does it. The next request is sent there.",
    ],
    command: ask("empty.example.com"),
    reproduces: true,
  },
  ACCESS_DENIED: {
    cause:
      "A policy of the platform denied the request, or the port is private and no policy decides who may reach it. Nothing was sent to the machine.",
    fix: [
      'Ask the owner of the project for access, or make the port public: `registry.configure(project, { ports: { 4096: { visibility: "public" } } })`.',
      'As the platform: `trace` of the router\'s event names the policy. A port with `visibility: "private"` needs a policy that has `enforces: ["visibility"]`.',
    ],
    command: ask("5000__misha.example.com"),
    reproduces: true,
  },
  LOGIN_REQUIRED: {
    cause:
      "A policy wants to know the visitor. A browser that navigates is sent to the login page (302); a script, a WebSocket and curl get this response instead.",
    fix: [
      "Open the hostname in a browser, and sign in there.",
      "From a program, send the credentials that the platform accepts: its cookie or its token.",
    ],
    command: ask("members.example.com"),
    reproduces: true,
  },
  AUTH_UNAVAILABLE: {
    cause:
      "The port is private, and the platform could not tell whether this visitor may open it: the function that the policy `authorize` was given threw, took longer than `timeoutMs`, or returned no decision. Nobody is let in for that, and nothing is kept of it: the next request asks again.",
    fix: [
      "Wait a few seconds and reload.",
      "Look at the `reason` of the router's event of the request, by its id: it has the code of the failure (`ECONNREFUSED`).",
      "Check the service that the function calls, and that it responds within `timeoutMs` (3 s by default).",
    ],
    command: `${ask("misha.example.com", "-sS")} | grep -i x-iterate-proxy-request-id # then find requestId in the router's events`,
  },
  TOO_MANY_HOPS: {
    cause: "The request has passed more proxies than the policy `hopLimit` allows: each of them is an entry of `Via`.",
    fix: [
      "Read `Via` at the app, or in a request to a server of your own: it names the proxies in order, and one that stands there again and again sends the request in a circle.",
      "Raise `max` of `hopLimit` if so many proxies are intended.",
    ],
    command: ask("misha.example.com", `-H "Via: $(printf '1.1 proxy, %.0s' $(seq 30))1.1 end"`),
  },
  SIGN_IN_FAILED: {
    cause:
      "The last step of signing in to a hostname is not valid: its code is older than a minute or was used before, it was made for another hostname, this browser did not begin the sign-in (its cookie is gone, or the URL came from somebody else), access was revoked meanwhile, or a script or a frame asked instead of a tab. The reason is in the router's event.",
    fix: [
      "Open the hostname again, in a tab of its own. The sign-in begins again by itself.",
      "Allow cookies for the hostname. They are `Secure`: it must be reached by HTTPS, or be under `localhost`.",
      "If it happens every time, compare the clocks of router and control plane: they may differ by 5 s.",
      "If an app's service worker fetches navigations by URL (`fetch(event.request.url)`), let it leave `/_/` alone.",
    ],
    command: ask("members.example.com", "", "/_/callback?code=none"),
    reproduces: true,
  },
  RESERVED_PATH: {
    cause:
      "The paths behind `/_/`, or another prefix that the platform has chosen, are the platform's on every hostname, and this one has no meaning. An app's own path of that name is never reached.",
    fix: [
      "Let the app use another path.",
      "Choose another prefix for the platform (`prefix` of `defineAccess`) if the app cannot be changed.",
    ],
    command: ask("members.example.com", "", "/_/nothing"),
    reproduces: true,
  },
  LOOP_DETECTED: {
    cause:
      "The request passes the same proxy again and again: an app forwards to its own public hostname, the hostname names the port of the machine proxy itself, or a custom domain points at a proxy that forwards to the router. A router refuses it after ten passes, a machine proxy at the second. Between regions: the records of two regions each name the other, or the load balancer of a region leads back; a router refuses what came by a hop and would go back, and what was sent from region to region three times.",
    fix: [
      "Let the app call its neighbour by `http://localhost:<port>` and not by the public hostname that leads back to itself.",
      "Name the app's port in the hostname, not the port of the machine proxy (8080 by default).",
      "Check what `Via` says of the way that the request took.",
      'With several regions: the event `{ type: "region" }` says which regions disagree. A store that is behind catches up by itself; else correct `region` in the record, or the option `regions`.',
    ],
    command: ask("misha.example.com", `-H "Via: $(printf '1.1 ingress-router, %.0s' 1 2 3 4 5 6 7 8 9 10 11)1.1 end"`),
    reproduces: true,
  },
  REGION_UNREACHABLE: {
    cause:
      "The project's machine is in another region than the router, and the request could not be sent there: the load balancer of that region refuses connections, has a certificate that is not valid, or does not respond (then 504); none is configured for the region that the record names; or the request came from another region already, and the record here names a third one.",
    fix: [
      "Wait a second; the page reloads by itself.",
      "The router's event has the region and the reason (`ECONNREFUSED`, `CERT_HAS_EXPIRED`). Check that region's load balancer by `curl -v` from this one.",
      "Compare `region` in the record with the names in the option `regions` of `createRouter`.",
    ],
    command: ask("misha.example.com"),
  },
  UPGRADE_UNSUPPORTED: {
    cause:
      "The request is a WebSocket handshake, and the router runs by `router.fetch` alone on Node, Bun or Deno, whose `fetch` cannot pass one on.",
    fix: [
      "Mount the router with `serveNode` of `@project-ingress/router/node`; it also runs on Bun and Deno.",
      "Under `Bun.serve` mount it with `serveBun` of `@project-ingress/router/bun`, under `Deno.serve` with `serveDeno` of `@project-ingress/router/deno`.",
      "On Cloudflare Workers `router.fetch` passes WebSockets on by itself.",
    ],
    command: ask(
      "misha.example.com",
      "--http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='",
    ),
  },
  LENGTH_REQUIRED: {
    cause:
      "The request is a GET or HEAD with a body whose length is not declared, and the router runs in a Worker, whose `fetch` would send the request without it (cloudflare/workerd#1122). An empty body is no reason.",
    fix: [
      "Send the request without a body, or the body with a `Content-Length`.",
      "Or run the router with `serveNode` of `@project-ingress/router/node`: it passes such a body on.",
    ],
    command: ask("misha.example.com", "-X GET -H 'Transfer-Encoding: chunked' -d data"),
  },
  PROXY_FAILED: {
    cause:
      "Something unexpected was thrown: by a policy, a hook, a provider or the proxy itself. Visitors do not learn what; the router's `onError` gets the error with its cause.",
    fix: [
      "Look at the `reason` and the `trace` of the router's event of the request, by its id: they name a policy that threw.",
      "Look at the events of type `error` (`onEvent` of `serveNode`, the log of the machine proxy).",
      "If it comes from none of that, report it with the event and the version.",
    ],
    command: `${ask("misha.example.com", "-sS")} | grep -i -e x-iterate-proxy-request-id -e proxy-status # which proxy, and which request`,
  },
}
