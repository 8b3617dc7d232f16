import { ask } from "./code-page.ts"
import type { CodePages } from "./code-page.ts"

const direct = "curl -i http://192.0.2.7:8080/"

/** Codes of the machine proxy's own decisions. */
export const machineProxyPages: CodePages = {
  missing_proxy_target_host: {
    cause:
      "A request with a valid ticket, or to a proxy without keys, does not say in `x-iterate-proxy-target-host` which port it is for. The router always sends it.",
    fix: [
      "Open the app by its public hostname, which leads through the router.",
      "If the router did send it, something between router and machine removes headers, or `INGRESS_HEADER_PREFIX` and the router's `headerNames` differ.",
    ],
    command: `${direct} # to a proxy that runs with --insecure`,
  },
  invalid_proxy_target_host: {
    cause:
      "The header `x-iterate-proxy-target-host` is not `<port>__<hostname>`, `<hostname>`, `localhost:<port>` or `127.0.0.1:<port>`, or it was sent twice. A machine proxy connects to ports of its own machine only.",
    fix: ["Send one header of these forms. The router does; a test of your own should copy it."],
    command: `${direct} -H 'x-iterate-proxy-target-host: 10.0.0.1:80' # to a proxy that runs with --insecure`,
  },
  TICKET_REQUIRED: {
    cause:
      "The request came to the machine's own address without a ticket of the router. A machine that anybody can reach lets nobody in but the router.",
    fix: [
      "Open the app by its public hostname.",
      "If the router sent the request, something between router and machine removes `x-iterate-proxy-ticket`, or `INGRESS_HEADER_PREFIX` and the router's `headerNames` differ.",
      "For a test without a router, run the proxy with `--insecure` on an address that only you can reach.",
    ],
    command: `${direct} -H 'x-iterate-proxy-target-host: localhost:4096'`,
    reproduces: true,
  },
  TICKET_INVALID: {
    cause:
      "The ticket is signed with a key that the machine does not have, it has expired (tickets are valid for a minute), it is damaged, or there are two. Mostly router and machine have keys of different pairs, or clocks that differ.",
    fix: [
      "Compare the `kid` of the router's signing key with those in `INGRESS_TICKET_KEYS` of the machine.",
      "After a change of the key file send the machine proxy `SIGHUP`; it then reads the file again.",
      "Compare the clocks of both; a machine that was suspended may be minutes late.",
    ],
    command: `${direct} -H 'x-iterate-proxy-target-host: localhost:4096' -H 'x-iterate-proxy-ticket: a.b.c'`,
    reproduces: true,
  },
  TICKET_WRONG_TARGET: {
    cause:
      "The ticket is valid for this machine, and the request names another port or hostname than the ticket: a ticket opens one port under one name, or has a scope for the machine proxy's own paths, and is proof of nothing elsewhere. A router always sends both alike, so somebody else has sent a ticket that was not theirs, or something between router and machine changes `x-iterate-proxy-target-host`.",
    fix: [
      "Open the app by its public hostname.",
      "A test of your own signs a ticket for what it asks for: `signTicket(key, { machine, port, name })`, where `name` is the hostname in the target header, or `localhost`.",
    ],
    command: `${direct} -H 'x-iterate-proxy-target-host: localhost:4096' -H "x-iterate-proxy-ticket: $TICKET_FOR_ANOTHER_PORT"`,
  },
  CONTROL_UNAVAILABLE: {
    cause:
      "A path of the machine proxy's own, `/__ingress/ports` or `/__ingress/end-sessions`, was asked for, and the proxy runs with `--insecure`: without keys nobody can prove to be the router, and anybody could end what others have open.",
    fix: [
      "Give the machine proxy its key (`INGRESS_TICKET_KEYS`), as `keys --machine` prints it.",
      "An app that has such a path of its own is reached by it through the router, which names the app's port.",
    ],
    command: "curl -i http://192.0.2.7:8080/__ingress/ports # to a proxy that runs with --insecure",
  },
  CONTROL_INVALID: {
    cause:
      'The body of `POST /__ingress/end-sessions` is not `{ "sessions": ["…"] }` with at most 1 000 ids of 1 to 128 characters of `A-Z a-z 0-9 - _`, nor `{ "sessions": "all" }`.',
    fix: [
      "Call `router.withdraw(hostname, { sessions })`, which sends it.",
      "Use a router and a machine proxy of matching versions.",
    ],
    command: `curl -i -X POST -d '{}' -H "x-iterate-proxy-ticket: $TICKET_OF_SCOPE_CONTROL" http://192.0.2.7:8080/__ingress/end-sessions`,
  },
  PORT_FORBIDDEN: {
    cause:
      "The machine proxy is configured not to open this port: it is in `INGRESS_DENY_PORTS` (22 and 25 by default) or not in `INGRESS_ALLOW_PORTS`.",
    fix: [
      "Let the app listen on a port that is open.",
      "As the owner of the image, change `INGRESS_ALLOW_PORTS` or `INGRESS_DENY_PORTS` and restart the machine proxy.",
    ],
    command: ask("22__misha.example.com"),
    reproduces: true,
  },
  TUNNEL_UNAVAILABLE: {
    cause:
      "A tunnel of TCP or UDP was asked for, and the machine's proxy runs with `--insecure`: without keys nobody can prove to be the router, which alone knows that the port is no HTTP app. To such an app a client could write whatever only a proxy may.",
    fix: ["Give the machine proxy its key (`INGRESS_TICKET_KEYS`), as `keys --machine` prints it."],
    command: "project-ingress forward 5432 5432__misha.example.com",
  },
  TUNNEL_INVALID: {
    cause:
      "The router says that the port speaks `tcp` or `udp`, and the request is no WebSocket handshake that offers that tunnel alone, with a key of 16 bytes and version 13. The router lets nothing else through, so something between router and machine has changed it.",
    fix: [
      "Use a router and a machine proxy of matching versions.",
      "Look for a proxy between them that changes `Sec-WebSocket-Protocol`, or answers handshakes itself.",
    ],
    command: "project-ingress forward 5432 5432__misha.example.com",
  },
  PROTOCOL_UNSUPPORTED: {
    cause:
      "The port's settings name a `protocol` that the router knows and the machine's proxy does not, because the machine's image has an older one.",
    fix: [
      "Build the machine's image with the version of the machine proxy that the router has, and restart the machine.",
      "Take `protocol` out of the port's settings if the app speaks HTTP/1.1.",
    ],
    command: ask("50051__misha.example.com"),
  },
}
