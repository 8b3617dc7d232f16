import { ask } from "./code-page.ts"
import type { CodePages } from "./code-page.ts"

/** Codes of the engine that reads requests and sends them on, in the router and in the machine proxy. */
export const enginePages: CodePages = {
  PORT_CLOSED: {
    cause:
      "The machine runs, and nothing accepts connections on this port: the app has not started yet, it ended, it listens on another port, or it listens only on an address that the machine proxy does not connect to. The machine proxy connects to 127.0.0.1 and ::1. In a few cases it is the machine proxy itself that does not listen; then `Proxy-Status` names `ingress-router`.",
    fix: [
      "Start the app. The page reloads when it answers.",
      "Let the app listen on `localhost`, `127.0.0.1` or `0.0.0.0`, not on the address of one network interface.",
      "Compare the port in the hostname with the port that the app prints when it starts; many servers take the next port when theirs is in use.",
      "Where `INGRESS_LOOPBACK` is set, the app must listen on that address or on every address.",
    ],
    command: `${ask("4097__misha.example.com")}
ss -ltn # in the machine: who listens, on which address and port`,
    reproduces: true,
  },
  UPSTREAM_TIMEOUT: {
    cause:
      "The app accepted the request and sent no response headers in time: 120 s by default (`headersTimeoutMs` of the router; the machine proxy has no limit of its own). Only headers count: a body may take as long as it likes.",
    fix: [
      "Look into the app's log: a deadlock, a debugger that holds it, a call that it waits for.",
      "Let long work respond at once and report its progress (a stream, an event stream, polling).",
      "Raise `headersTimeoutMs` where the work really takes that long. The app may have acted on the request: send it again only if that does no harm.",
    ],
    command:
      "curl -sS -o /dev/null -w '%{time_starttransfer} s\\n' http://localhost:4096/ # in the machine: how long the app takes itself",
  },
  UPSTREAM_FAILED: {
    cause:
      "The app closed the connection before its response was complete enough to pass on, or what it sent is not valid HTTP (`Proxy-Status` says `http_protocol_error` then): the app crashed, it restarts, the port speaks another protocol than its settings say.",
    fix: [
      "Look into the app's log for a crash at that moment.",
      'Check what the port speaks: HTTP/1.1 by default. For TLS its settings need `"protocol": "https"`, for HTTP/2 by prior knowledge, as servers of gRPC speak it, `"protocol": "h2c"`.',
      "Send the request again if the app was just restarted. It may have acted on the first one.",
      "If the router's event says this of a machine for every port, and the machine's log `a plain request came`: the machine proxy speaks TLS only (`INGRESS_TLS_KEY_FILE`), and the record needs its `pin`.",
    ],
    command: "curl -v http://localhost:4096/ # in the machine: what the app sends, without a proxy",
  },
  UPSTREAM_UNTRUSTED: {
    cause:
      "The port's settings say that the app speaks TLS, and its certificate does not verify: it is self-signed, has expired, or is for another name than `localhost` or `tls.serverName`. The request was not sent.",
    fix: [
      'Set `"tls": { "verify": false }` in the settings of the port for a certificate of the app\'s own making: the connection does not leave the machine.',
      "Set `serverName` to a name that is in the certificate.",
      "Give the machine proxy the certificate of your own authority by `NODE_EXTRA_CA_CERTS`.",
    ],
    command:
      "openssl s_client -connect localhost:8443 -servername localhost </dev/null # in the machine: the certificate",
  },
  REQUEST_MALFORMED: {
    cause:
      "The request is not valid HTTP/1.1, or two readers could understand it in two ways: no `Host` or two, both `Content-Length` and `Transfer-Encoding`, a control character in a header, a space before a colon. Such requests are how request smuggling works, so they are refused rather than repaired.",
    fix: [
      "Use an HTTP library rather than sockets of your own, or correct what it is given: header values with line breaks are the most frequent mistake.",
      "Look at the engine's event of type `error`: it says what was wrong (`onEvent` of `serveNode`, the log of the machine proxy).",
    ],
    command: ask("4096__misha.example.com", "--http1.1 -H 'Content-Length: 1' -H 'Transfer-Encoding: chunked' -d x"),
    reproduces: true,
  },
  REQUEST_TIMEOUT: {
    cause:
      "The request's headers were not complete within 15 s, its body stood still for 60 s, or, at the router, it came more slowly than 240 bytes a second after its first 5 s. Slow requests are a way to occupy a server.",
    fix: [
      "Send the request again; on a slow network, in smaller pieces.",
      "Give a port whose clients send slowly by design, as over a long poll, `minBodyRate: 0` in its settings; `minBodyRate` of the limits is for all ports. A body whose response has begun may be as slow as it likes.",
      "Raise `headersTimeoutMs` or `bodyIdleTimeoutMs` of the limits (`INGRESS_HEADERS_TIMEOUT_MS`, `INGRESS_BODY_IDLE_MS`) if real clients are that slow.",
    ],
    command: `(echo x; sleep 70) | ${ask("4096__misha.example.com", "--http1.1 -T -")}`,
  },
  REQUEST_HEAD_TOO_LARGE: {
    cause:
      "The headers of the request are larger than 64 KiB, or there are more than 1 000. Mostly it is cookies: each app of a site may have set some.",
    fix: [
      "Delete the cookies of this site in the browser, then reload.",
      "Let the app keep its session on the server instead of in a cookie.",
      "Raise `maxRequestHead` of the limits if large headers are intended; the app must accept them, too.",
    ],
    command: ask("4096__misha.example.com", `-H "X-Large: $(printf %070000d 0)"`),
    reproduces: true,
  },
  REQUEST_TARGET_TOO_LONG: {
    cause: "The path and query of the request are longer than 32 KiB.",
    fix: [
      "Send the data in the body of a POST.",
      "Look for a redirect that adds to the query each time.",
      "Raise `maxTarget` of the limits if such URLs are intended.",
    ],
    command: `curl -i --resolve 4096__misha.example.com:443:203.0.113.10 "https://4096__misha.example.com/?$(printf %033000d 0)"`,
    reproduces: true,
  },
  EXPECTATION_FAILED: {
    cause:
      "The request has an `Expect` header other than `100-continue`, the only one that HTTP defines (RFC 9110 §10.1.1).",
    fix: ["Send the request without `Expect`, or with `Expect: 100-continue`."],
    command: ask("4096__misha.example.com", "-H 'Expect: 200-ok'"),
    reproduces: true,
  },
  METHOD_REFUSED: {
    cause:
      "The method is CONNECT or TRACE. Neither is passed on: CONNECT asks for a tunnel, and TRACE would show a client the headers that the proxies add.",
    fix: [
      "Use another method. Where a client sends CONNECT, it takes the router for a forward proxy: check its proxy settings.",
    ],
    command: ask("4096__misha.example.com", "-X TRACE"),
    reproduces: true,
  },
  METHOD_UNKNOWN: {
    cause:
      "The method is registered neither for HTTP nor for WebDAV. A method that a proxy does not know may have framing that it does not know.",
    fix: ["Check the spelling: methods are case-sensitive and in capitals. For a method of your own use POST."],
    command: ask("4096__misha.example.com", "-X get"),
    reproduces: true,
  },
  CODING_UNKNOWN: {
    cause: "The body of the request has a `Transfer-Encoding` other than `chunked`.",
    fix: [
      "Send the body as `chunked` alone or with a `Content-Length`. To compress it, use `Content-Encoding`, which goes to the app as it is.",
    ],
    command: ask("4096__misha.example.com", "--http1.1 -H 'Transfer-Encoding: gzip' -H 'Content-Length:' -d x"),
    reproduces: true,
  },
  VERSION_UNKNOWN: {
    cause:
      "The request line names another version than HTTP/1.1 or HTTP/1.0. HTTP/2 is agreed on in the handshake of TLS, where the platform offers it, and never without one.",
    fix: ["Let the client speak HTTP/1.1, or HTTP/2 over TLS if the platform offers it."],
    command: ask("4096__misha.example.com", "--http1.1"),
  },
  ACCESS_WITHDRAWN: {
    cause:
      "The request was let in, and before its response began the visitor's access was withdrawn: by a policy that no longer lets the visitor in, because the session, token or link has ended, or by `router.withdraw`. For 5 s after that, a machine proxy also refuses new requests of a session that was named. An app may have received the request.",
    fix: [
      "Sign in again, or ask the owner of the project for access.",
      "As the platform: the event `access_withdrawn` of the router says why. See [withdrawn access](../withdrawal.md).",
    ],
    command: ask("4096__misha.example.com", "-T upload.bin"),
  },
  MISDIRECTED: {
    cause:
      "The request came by a connection of HTTP/2 on which the client had asked for another hostname, and the certificate that it was shown does not cover this one. Some clients use one connection for all hostnames of an address. Nothing was sent to the app.",
    fix: [
      "A browser sends the request again by itself, by a connection of its own. Another client: open a new one, and say this hostname in its handshake (SNI).",
      "As the platform: serve a certificate that covers both names, or let `SNICallback` choose the one for each.",
    ],
    command: ask("4096__misha.example.com", "--http2"),
  },
  CLIENT_LIMITED: {
    cause:
      "One address, or one IPv6 network (`/64`), has as many connections, requests in flight or WebSockets open as one client may have of the router's process (`bounds.client` of `serveNode`). Everybody else is served.",
    fix: [
      "Close pages that hold event streams or WebSockets, then try again.",
      "Look at the event `bound_reached` of the router: it names the address, what was counted and the bound. Where many people share an address, raise `bounds.client`.",
      "Where the address is a load balancer's, name it in `trustedProxies`: its clients are then counted, and not itself.",
    ],
    command: ask("4096__misha.example.com"),
  },
  OVERLOADED: {
    cause:
      "As many requests are in flight as one process keeps connections for: 1 024 (`maxConnectionsPerPool`), of the machine proxy to this port, of the router to all ports of this machine. Or, without a request being read, as many connections are open as it keeps in all: 10 000 (`maxConnections`), at most 15/32 of its file descriptors, and none of them is idle. Event streams and long polls hold one each. Nothing was sent to the app.",
    fix: [
      "Wait a second; the page reloads by itself.",
      "Raise the process's limit of descriptors (`ulimit -n`, `LimitNOFILE` of systemd) where it is below 22 000.",
      "Look for a page that opens event streams and does not close them, or an app that does not respond any more.",
      "Raise `maxConnectionsPerPool` of the limits if so many are intended.",
    ],
    command: "ss -tn state established '( dport = :4096 )' | wc -l # in the machine: connections to the app",
  },
}
