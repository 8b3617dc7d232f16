/** A word or phrase that is no longer written, in text (comments, strings, pages) or as a part of a name. */
export interface Retired {
  readonly text?: RegExp
  /** For a name, whose parts are matched as words in lower case: `tellAnswer` is "tell answer". By default as `text`. */
  readonly name?: RegExp
  readonly write: string
  /** Where it may stand: what is allowed, and why. */
  readonly except?: readonly (readonly [words: RegExp, because: string])[]
  /** Files, or folders, that may use it, and why. */
  readonly files?: readonly (readonly [path: string, because: string])[]
}

const never = /(?!)/g

export const retired: readonly Retired[] = [
  {
    text: /\boctets?\b/gi,
    write: "byte",
    except: [
      [/application\/octet-stream/gi, "a media type (RFC 2046)"],
      [/"[^"]*\boctets?\b[^"]*"(?= \(RFC)/gi, "a quoted RFC"],
      [/\bOCTETS?\b/g, "a rule of RFC 9110's grammar"],
    ],
  },
  {
    // The noun. The verb is plain English: "when the port answers".
    text: /\b(?:an?|the|its|their|our|your|his|whose|no|own|this|each|every|any|first|last|whole|\w+'s|error|empty|final|good|late|of|with|in|for|from|by|before|after|than|other|all|these|those|such|several|two|both) answers?\b(?! (?:at|on) port)/gi,
    name: /\banswers?\b/g,
    write: "response (generated response, error response); result, reply of a vendor's API",
    except: [
      [/\bDNS answers?\b/g, "the term of RFC 1035"],
      // "two machines, both answer", "each answers", "no port of this answers": the verb.
      [/\b(?:each|both|all|these|those|other|this|first|two|whose|\w+'s) answers\b/gi, "the verb"],
    ],
    files: [
      ["packages/ingress/src/dns/responder/", "a section of a DNS message (RFC 1035), and a field of dns-packet"],
    ],
  },
  { text: never, name: /\bunanswered\b/g, write: "NoResponse" },
  { text: /\bat hand\b/gi, write: "in-flight (requests); at once, ready" },
  { text: /\banew\b/gi, write: "again; restarted" },
  { text: /\bfor ever\b/gi, write: "forever; 0 disables the time-out" },
  {
    text: /\b(?:is|are|was|were|be) none\b/gi,
    write: 'invalid X; "throws if X is invalid"',
    except: [[/\bthere (?:is|are|was|were) none\b/gi, "plain English"]],
  },
  { text: /\btroubles?\b/gi, write: "error, failure; AttemptFailure" },
  { text: /\bknocks?\b|\bknocking\b/gi, write: "readiness probe, probe" },
  {
    text: /\btold\b/gi,
    write: "called, reported, notified, configured",
    except: [[/\btold (?:\w+ )?apart\b/gi, "plain English for distinguished"]],
  },
  { text: /\bstrangers?\b/gi, write: "adapter author, store author; untrusted input; a third party" },
  { text: /\b(?:fetch|foreign|front|own) doors?\b|\bdoors\b/gi, name: /\bdoors?\b/g, write: "host, handler, fallback" },
  { text: /\b(?:goes?|going|went|walk(?:s|ed)?) round\b/gi, write: "is tunnelled; bypasses" },
  { text: /\beaten\b|\beats?\b/gi, write: "intercepted, removed by the edge" },
  {
    text: /\bpolicy's (?:own )?no\b|\bsa(?:ys|id) no\b/gi,
    write: "a policy's denial; refuses, denies",
  },
  { text: /\b(?:second|first|failed|next|another|each|this|that|one) (?:try|tries)\b/gi, write: "attempt, retry" },
  { text: /\bhooks? (?:that|which) (?:is|are) out\b|\bpromise is out\b/gi, write: "pending hook" },
  {
    text: /(?<!\b(?:person|people|visitor|user|client|author|anyone|someone|everyone|reader|attacker|caller|one|those|engineer)s? )\bwho (?:waits|asks|wants|writes|calls|reads|sends|holds|has|sees|stops)\b/gi,
    name: never,
    write: "whoever …, the caller, the waiter",
  },
  { text: /\b(?:last|no|a) word\b|\bword (?:of|that|from)\b/gi, name: never, write: "final; report, message" },
  { text: /\bfates?\b/gi, write: "header rule" },
  { text: /\bwheels?\b/gi, write: "DeadlineScanner, deadlines" },
  {
    text: /\bflights?\b(?<!\bsingle[- ]flight)/gi,
    name: /\bflights?\b(?<!single flight)/g,
    write: "single flight",
    except: [[/\bin[- ]flight\b/gi, "plain English"]],
  },
  { text: /\baboard\b|\bdeparts?\b/gi, write: "waiters; start" },
  { text: never, name: /\boccupants?\b/g, write: "ConnectionHandler" },
  { text: never, name: /\bhand over\b|\bhandover\b/g, write: "setHandler; a call that returns a value or a promise" },
  { text: never, name: /\binbox\b/g, write: "ReadBuffer" },
  {
    text: never,
    name: /\bjudging\b|\bunpour\b|\bpour(?:ing)?\b|\bunpours\b/g,
    write: "hookPending, cancelBody, pipeBody",
  },
  { text: never, name: /\bhop names\b/g, write: "HopHeaderNames, headerNames" },
  { text: /\bsaid by\b/gi, write: "errorMessage; reported by" },
  {
    text: /\bquestions?\b/gi,
    write: "call, request (to a provider); ProviderClient",
    files: [
      ["packages/ingress/src/dns/responder/", "a section of a DNS message (RFC 1035), and a field of dns-packet"],
    ],
  },
  { text: /\bmints?\b|\bminted\b|\bminting\b/gi, write: "sign (a ticket)" },
  {
    text: /\bbackends?\b|\bVMs?\b/gi,
    name: /\bbackends?\b|\bvms?\b/g,
    write: "machine, upstream",
    except: [
      [/\bnever instance, sandbox, vm, backend\b/g, "the rule itself, in AGENTS.md"],
      [/\ba VM's private (?:IP|address)\b/gi, "a vendor's product, not a machine of ours"],
      [/\bvm-platform\b/g, "the name of an example"],
      [/\bINNER JOIN vms\b/g, "EdgeProxy's documented query, byte for byte"],
      [/\bBackendNotFound\b/g, "a reason of Gateway API"],
      [/\bService Unavailable - VM not responding\b/g, "EdgeProxy's documented response"],
    ],
    files: [
      ["docs/security.md", "the path of an example"],
      ["packages/providers/src/adapters/fly/", "a field of Fly's API"],
      ["docs/frameworks.md", "a command of git: http-backend"],
      ["docs/edgeproxy.md", "EdgeProxy's documented response, as code in a page"],
      ["packages/providers/src/adapters/upstream.ts", "a vendor's own name of a machine, in an example"],
    ],
  },
  {
    text: /\bsandbox(?:es)?\b/gi,
    write: "machine",
    except: [
      [/\bnever instance, sandbox, vm, backend\b/g, "the rule itself, in AGENTS.md"],
      [/\bcloudflareSandbox\b/g, "the function of a provider, by the vendor's name"],
      [/\b(?:is no|is not a) sandbox\b/g, "a border between processes, not a machine"],
      [/\bvercel-?sandbox\b/gi, "an adapter's name, after the vendor's product"],
    ],
    files: [
      ["packages/providers/src/adapters/cloudflare/", "a class of Cloudflare's, its package and its fields"],
      [".changeset/container-port.md", "a class of Cloudflare's, its package and its fields"],
      [".changeset/e2b.md", "E2B's own term"],
      [".changeset/vercel-sandbox.md", "Vercel's own term"],
      ["README.md", "providers' names: `cloudflare-sandbox`, `vercel-sandbox`"],
      [".changeset/sprites-and-sandboxes.md", "a class of Cloudflare's, its package and its fields"],
      ["packages/providers/src/adapters/daytona/", "Daytona's own term"],
      ["packages/providers/src/adapters/e2b/", "E2B's own term"],
      ["packages/providers/src/adapters/vercel-sandbox/", "Vercel's own term"],
      ["packages/providers/README.md", "the vendors' own term"],
      ["packages/providers/src/testing/laws/platform.ts", "a response of Daytona's edge"],
    ],
  },
]
