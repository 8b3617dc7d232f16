/** Which test shows which situation of route data, and which case of the systems that this router replaces. */
import type { NamedTest } from "../../../../test/named-tests.ts"

/** The tests that show a case; or why none does. */
export type Shown = readonly NamedTest[] | { readonly instead: string }

const router = "packages/router/test"
const compatible: (claim: string) => NamedTest = (claim) => [`${router}/compatible.test.ts`, claim]
const table: (claim: string) => NamedTest = (claim) => [`${router}/table/table-store.test.ts`, claim]
const followed: (claim: string) => NamedTest = (claim) => [`${router}/table/end-to-end.test.ts`, claim]
const layered: (claim: string) => NamedTest = (claim) => [`${router}/layered/layered.test.ts`, claim]
const failures: (claim: string) => NamedTest = (claim) => [`${router}/layered/failures.test.ts`, claim]
const floods: (claim: string) => NamedTest = (claim) => [`${router}/layered/floods.test.ts`, claim]
const inWorkerd: (claim: string) => NamedTest = (claim) => [`${router}/layered/worker.test.ts`, claim]
const paged: (claim: string) => NamedTest = (claim) => [`${router}/paged/paged.test.ts`, claim]
const published: (claim: string) => NamedTest = (claim) => [`${router}/published/published.test.ts`, claim]
const kv: (claim: string) => NamedTest = (claim) => [`${router}/published/kv-faults.test.ts`, claim]
const redis: (claim: string) => NamedTest = (claim) => [`${router}/published/redis.test.ts`, claim]
const feed: (claim: string) => NamedTest = (claim) => [`${router}/registry/postgres-feed.test.ts`, claim]
const handed: (claim: string) => NamedTest = (claim) => [`${router}/situations/names.test.ts`, claim]
const regions: (claim: string) => NamedTest = (claim) => [`${router}/regions/regions.test.ts`, claim]
const moved: (claim: string) => NamedTest = (claim) => [`${router}/situations/moved-machines.test.ts`, claim]
const cases: (claim: string) => NamedTest = (claim) => [`${router}/situations/seed-systems.test.ts`, claim]
const edge: (claim: string) => NamedTest = (claim) => [`${router}/edge/edge.test.ts`, claim]
const polled: (claim: string) => NamedTest = (claim) => [`${router}/polled/polled-sql.test.ts`, claim]
const names: (claim: string) => NamedTest = (claim) => ["packages/hostname/test/seed-systems.test.ts", claim]
const proxy: (claim: string) => NamedTest = (claim) => ["packages/machine-proxy/test/machine-proxy.test.ts", claim]
const header: (claim: string) => NamedTest = (claim) => [
  "packages/machine-proxy/test/catalogue/target-header.test.ts",
  claim,
]
const socket: (claim: string) => NamedTest = (claim) => [
  "packages/machine-proxy/test/catalogue/websocket.test.ts",
  claim,
]
const fetcher: (claim: string) => NamedTest = (claim) => ["packages/providers/test/fetcher.test.ts", claim]

const bridge: (claim: string) => NamedTest = (claim) => [`${router}/access/project-ingress-proxy.test.ts`, claim]

/** The situations of the facts about route data. Numbers that are not here are not there either. */
export const situations: Readonly<Record<string, Shown>> = {
  1: [
    followed("situation 1: %s an authority a 421 leads to the machine that nobody reported"),
    layered("1: a refresh goes past memory and caches, for that key alone, and is written through"),
    moved("misdirects what is meant for the new one (421): the route is read again once"),
  ],
  2: [
    table("situation 2: an older version never replaces a newer one, whoever says it"),
    layered("2: an older one of a cache, or of an authority that is behind, does not replace a newer"),
    paged("does not go back to an earlier manifest, which a replica that lags may give (situation 2)"),
  ],
  3: [
    published("duplicates and reordered changes end at the highest version"),
    redis("ends at the highest version, in whatever order and by whichever client they write"),
    kv("is a change after the delay of KV and its own cache, and never the earlier version again"),
    paged("refuses routes of earlier versions than those that are stored, unless forced"),
  ],
  4: [
    layered("4: a withdrawn route is not served past revalidateMs, with its old version in every cache"),
    paged("sees a change after softMs beside a request, and after revalidateMs before it"),
    kv("is a key that was asked for before it was there, after the same time"),
  ],
  5: [feed("is not lost, though a later one was there first: both are shown once it has ended")],
  6: [table("situation 6: duplicates, replays and changes in another order do no harm; what was removed stays so")],
  7: [
    table("situation 7: reads everything again when the feed no longer keeps the changes, and goes on from there"),
    feed("finds a gap with a cursor of another database, of the future or of nobody"),
  ],
  9: [table("situation 9: is saved while changes never stop, at the latest after saveMs")],
  10: [
    table("situation 10: of two reloads at once the older result is discarded, however late it comes"),
    layered("10: of two reads that pass each other, the older one does not replace the newer"),
    polled("situation 10: of two at once the older result is thrown away"),
  ],
  11: [
    table("situation 11: every route is served for 24 h, and then nothing is known any more"),
    followed("situations 11, 12, 19: follows it, serves on when the database is killed"),
    failures("11: that %s: every known route is served for 24 hours, then nobody knows"),
    paged("serves what it has for 24 h while nothing can be read, and is unknown then (situation 11)"),
  ],
  12: [
    followed("situation 12: is 503 with Retry-After before it is loaded"),
    failures("12: at the start, that %s: unknown and when to ask again, never a miss"),
    paged("does not know before the first manifest: unknown, never a miss (situation 12)"),
  ],
  13: [
    failures("13: that %s is passed over within its time"),
    published("fails only the key whose entry %s"),
    kv("makes that key unknown and no other, however long it fails"),
  ],
  15: [
    table("situation 15: %s: refused once, the table goes on, and force takes it"),
    [`${router}/packed/refused.test.ts`, "when it is more than 15 % smaller than the one in use, unless forced"],
  ],
  16: [
    table("situation 16: one that is %s is refused with its reason, and the source is read instead"),
    [`${router}/packed/refused.test.ts`, "when it is larger than may be, before memory is taken for it"],
  ],
  17: [
    paged("leaves the table as it was when it dies before the manifest, and the next one goes on (situation 17)"),
    published("goes on where one that died after a commit and before its writes has left off"),
  ],
  19: [
    failures("19: that works again is used within its pause, and everything comes to what it says"),
    [
      `${router}/situations/partitions.test.ts`,
      "serve every route that they had, never another's, and come to the same when it heals",
    ],
  ],
  20: [
    [
      `${router}/table/file-state.test.ts`,
      "situation 20: a process that is killed while it saves leaves the old or the new one",
    ],
  ],
  21: [
    layered("21: is asked for again after 2 s, then twice as long up to 30 s; a new project is there within that time"),
  ],
  22: [cases("0-46: OURS: a project without a machine is 503, because it will be there again")],
  23: [
    floods("23: takes nothing from cold names that are known"),
    [`${router}/layered/tables.test.ts`, "23: keeps its bound under a million names"],
  ],
  25: [floods("25: a thousand look-ups of a cold key are one read")],
  26: [inWorkerd("26: many requests for one cold key")],
  27: [
    layered("27: a hot route past its time is given at once, and read once in the background"),
    inWorkerd("27: a route past its time"),
  ],
  29: [
    ["packages/hostname/test/candidates.test.ts", "asks for four wildcards at most, the longest first"],
    [`${router}/resolve.test.ts`, "leave labels that are neither port nor service to the wildcard above"],
    cases("0-93: an exact name goes before a wildcard"),
  ],
  30: [
    ["packages/hostname/test/vectors.test.ts", "reads $host"],
    ["packages/hostname/test/security.test.ts", "is never a slug: %s"],
    names("S0: a hostname of the platform"),
  ],
  31: [["packages/hostname/test/security.test.ts", "cannot take each other's name when formatted"]],
  32: [
    handed("situation 32: a former name redirects (308), is nobody else's in its quarantine, and may be taken back"),
    [`${router}/registry-router.test.ts`, "the new name after a rename, with the port of the old hostname"],
  ],
  33: [
    handed("situation 33: a domain that is not verified leads nowhere"),
    [`${router}/registry-router.test.ts`, "a custom domain only once its proof was found"],
  ],
  34: [
    handed("situation 34: the domain of a removed project is 410"),
    layered("34: a removed name is not brought back by what a cache still has"),
  ],
  // OURS: a machine does not know to whom it is attached: it misdirects what is meant for another one.
  37: [
    moved("goes on serving its own hostname, and its project is the new machine's"),
    moved("misdirects what is meant for the new one (421)"),
  ],
  38: [
    regions("of this region is sent to it, and of another one to that region's load balancer"),
    regions("end with 508 where each names the other: after one hop, with an event that names both"),
    regions("end with 508 after three hops even if no router believes the other's hops"),
  ],
  39: [
    [`${router}/balancer/choice.test.ts`, "comes with the fifth failure in a row, and any success ends the row"],
    [`${router}/balancer/replicas.test.ts`, "the last one is never ejected, and where none is well"],
    [`${router}/balancer/replicas.test.ts`, "what an app itself answers ejects nothing"],
    edge("1-03, situation 39: whose health check gives %s is 503, and is not sent"),
  ],
  40: [
    [`${router}/balancer/replicas.test.ts`, "a request that broke off (situation 40)"],
    [`${router}/moved.test.ts`, "is looked up past every cache and asked once more"],
    fetcher("sends a body that nobody took to where the machine is now"),
    moved("leads where requests do, and stays with its machine when the route changes"),
  ],
}

/** Cases of EdgeProxy, by id. */
export const edgeProxyCases: Readonly<Record<string, Shown>> = {
  "1-01": [edge("1-01: for an unknown host is 404 Service Not Found, in plain text with a newline")],
  "1-02": [edge("1-02: its own name")],
  "1-03": [
    edge("1-03, situation 39: whose health check gives %s is 503"),
    edge("1-03: for a machine that does not listen"),
  ],
  "1-05": [edge("1-05: for another region goes to its public address on port 80, with its host and without")],
  "1-06": [edge("1-06: whose machine dies between health check and request is 502 Bad Gateway")],
  "1-07": [edge("1-07: a port")],
  "1-08": [edge("1-08: capital letters")],
  "1-10": [edge("1-10: that is killed after the load leaves the last good routes; its URL is in no line")],
  "1-11": [edge("1-11: that is down at the start leaves it running: 503 with Retry-After, never 404, and not ready")],
  "1-12": [
    edge("1-12: has a new row seen within the interval, and a removed one gone"),
    polled("1-12: begin every 10 s, so that a new row is seen within that time"),
    published("writes a key once for many changes"),
  ],
  "1-13": [feed("finds by polling what no notification tells")],
  "1-14": [
    edge("1-14: fails for a bad environment with exit code 1, and names every variable"),
    [`${router}/edge/edge-config.test.ts`, "1-14: no database"],
  ],
  "1-15": [
    edge("1-15: by %s waits for requests in flight and ends with 0"),
    edge("1-15: cuts off what takes longer than the drain, and ends with 1"),
  ],
  "1-18": [cases("1-18: a redirect to another name has that name's port, and not the one it was asked on")],
  "1-20": [cases("1-20: OURS: no response says which server or machine it came from")],
  "1-21": [
    edge("1-21: routes no domain that is not verified, not ready or not running"),
    [
      `${router}/edge/standard-mode.test.ts`,
      "1-21: says that a certificate may be had of domains that route or redirect",
    ],
    [
      `${router}/edge/standard-mode.test.ts`,
      "1-21: says of a deleted domain that none may be had, within the interval",
    ],
  ],
  "1-22": [regions("end with 508 where each names the other: after one hop, with an event that names both")],
  // OURS: a domain is proven by its TXT record alone, whatever its CNAMEs lead to.
  "1-23": [handed("and one of several TXT records verifies it")],
  "1-24": [cases("1-24: %s as a domain: %s")],
  "1-27": [
    [
      "packages/machine-proxy/test/catalogue/limits.test.ts",
      "S02 S22 may be silent inside an event stream for as long as they like",
    ],
  ],
  "1-29": [
    [`${router}/replace-machine.test.ts`, "when its app responds with 500, and the status is reported"],
    [`${router}/replace-machine.test.ts`, "fails while a project goes to and fro, and each old machine is stopped"],
  ],
}

const shownByName = (...ids: readonly string[]): Readonly<Record<string, Shown>> =>
  Object.fromEntries(ids.map((id) => [id, [names(id)]]))

/** Cases of the worker and its successors, by id. */
export const workerCases: Readonly<Record<string, Shown>> = {
  ...shownByName("0-01", "0-02", "0-03", "0-04", "0-05", "0-06", "0-07", "0-08", "0-09", "0-10", "0-11", "0-12"),
  ...shownByName("0-13", "0-14", "0-15", "0-16", "0-17", "0-20", "0-21", "0-22", "0-23", "0-24", "0-25", "0-26"),
  ...shownByName("0-27", "0-29", "0-30", "0-31", "0-32", "0-33", "0-34", "0-35", "0-107"),
  "0-18": [[`${router}/client-identity.test.ts`, "are nobody's but a trusted proxy's"]],
  "0-40": [cases("0-40: a host that is not canonical is redirected for good, with path and query")],
  "0-41": [bridge("0-41: without a session a page leads to bridge-start with host and path, and through it back")],
  "0-42": [
    cases("0-42: an unknown project is 404 to who is signed in, as to everybody"),
    compatible("0-42: an unknown project is 404 project_not_found"),
  ],
  "0-43": [
    cases("0-43: who is no member is 403; OURS: or the very 404 of an unknown project"),
    compatible("0-43: who is no member gets 403 forbidden"),
  ],
  "0-45": [
    cases("0-45: a machine that is not attached is reached by its id"),
    compatible("0-45: a machine that is not attached is reached by its id"),
  ],
  "0-46": [
    cases("0-46: OURS: a project without a machine is 503, because it will be there again"),
    compatible("0-46: a project without a machine is 404 machine_not_found"),
  ],
  "0-48": [
    cases("0-48: a provider that throws"),
    compatible("0-48: what a provider throws is 502 proxy_error, without a word of it"),
  ],
  "0-49": [
    bridge("0-49: 502 auth_unavailable when nobody can say who is signed in"),
    cases("0-49: while the auth service is down, nobody is let in: 502"),
    compatible("0-49: an auth service that is down is 502 auth_unavailable"),
  ],
  "0-50": [
    ["packages/hostname/test/grammar.test.ts", "refuses %j in place of options"],
    compatible("0-50: no domain is 500 ingress_not_configured"),
  ],
  "0-51": [cases("0-51: the port that no hostname names is the project's")],
  "0-52": [cases("0-52: a service on a custom domain is its port")],
  "0-54": [bridge("0-54: a token on a host that is not canonical is 400")],
  "0-55": [cases("0-55: a redirect of the app is the visitor's to follow")],
  "0-56": [socket("W02 brings the app's cookies and fields, in lines of their own")],
  "0-60": [proxy("responds without a ticket, stamped"), proxy("hides no path of an app")],
  "0-61": [header("X04 is required")],
  "0-62": [header("X01 names port and public name: the port of loopback is dialled, the app sees localhost")],
  "0-63": [header("X03 X14 reaches 3000 when nothing is said, whatever the name")],
  "0-64": [header("X08 has a port in plain decimal, from 1 to 65535")],
  "0-65": [header("X02 may be localhost or 127.0.0.1 with a port, in any case")],
  "0-66": [header("X13 never names a host beside a port, whatever it resolves to")],
  "0-67": [header("X03 X14 reaches 3000 when nothing is said, whatever the name")],
  "0-68": [proxy("sees neither ticket nor target, its own Host, and one Via")],
  "0-69": [socket("W01 passes end to end: key, accept, subprotocol and extensions, then bytes both ways")],
  "0-70": [socket("W16 is judged by ticket, target and ports as any request, and nobody dials")],
  "0-71": [proxy("with no listener is an immediate 502")],
  "0-72": [header("X23 is refused when it is wrong, altered, doubled, expired or from the future")],
  // OURS: a caller's own target is not believed.
  "0-80": [fetcher("is the target, the ticket and the way it came, and no client's copy of them")],
  "0-81": [fetcher("is the target, the ticket and the way it came, and no client's copy of them")],
  "0-82": [fetcher("is the target, the ticket and the way it came, and no client's copy of them")],
  "0-83": [fetcher("cannot answer a WebSocket handshake outside Workers, and says so")],
  "0-84": [["packages/providers/test/docker.test.ts", "says that a port which is not published is closed"]],
  "0-85": [["packages/providers/test/daytona.test.ts", "is the state and one preview link, for the machine's proxy"]],
  "0-90": [cases("0-90: names are read in any case, with a root dot")],
  "0-91": [cases("0-91, 0-95: OURS")],
  "0-92": [cases("0-92: %j is no domain")],
  "0-93": [cases("0-93: an exact name goes before a wildcard")],
  "0-95": [cases("0-91, 0-95: OURS")],
  "0-97": [cases("0-97: a domain that is proven is nobody else's")],
  "0-100": [cases("0-100: OURS: no route has a path of its own")],
  "0-101": [cases("0-101: the host of the hop is the machine's")],
  "0-102": [["packages/providers/test/edge-headers.test.ts", "the service token of a Cloudflare tunnel"]],
  "0-103": [[`${router}/client-identity.test.ts`, "are only those that are named"]],
  "0-104": [[`${router}/node.test.ts`, "passes a WebSocket with its protocol"]],
  "0-105": [cases("0-105: a machine that cannot be reached is 502, and no route is 404")],
  "0-108": { instead: "the registry is called by the control plane's own code: it has no endpoint" },
}
