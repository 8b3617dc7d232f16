/** What paths, parameters and texts of signing in are called. */
export interface SignInWords {
  /** Where the control plane's handler is, unless a path is given. */
  readonly handlerPath: string
  /** Parameters from the host to the control plane. */
  readonly host: string
  readonly path: string
  /** The name behind the prefix that a code comes back to, and its parameters. */
  readonly callback: string
  readonly code: string
  readonly returnPath: string
  /** Older names: of a path, and of a host as its first label alone. */
  readonly older?: { readonly path: string; readonly label: string }
  /** Texts of a 400 of the handler. */
  readonly hostMissing: string
  readonly hostInvalid: string
  /** A body for an error of the handler's users: 502 or 503. */
  readonly unavailable: { readonly status: number; readonly error: string }
  /** Texts of a 400 of the callback; without them it is the row `SIGN_IN_FAILED`. */
  readonly refused?: { readonly host: string; readonly notCanonical: string }
}

/** By the name of the option `words`. */
export const signInWords = {
  /** This package's own. */
  ingress: {
    handlerPath: "/ingress-sign-in",
    host: "host",
    path: "path",
    callback: "callback",
    code: "code",
    returnPath: "path",
    hostMissing: "host is missing",
    hostInvalid: "host is no host of this platform",
    unavailable: { status: 503, error: "auth_unavailable" },
  },
  /** Those of the worker `project-ingress-proxy`, whose clients and links go on working. */
  "project-ingress-proxy": {
    handlerPath: "/api/project-ingress-proxy-auth/bridge-start",
    host: "projectIngressProxyHost",
    path: "path",
    callback: "exchange-token",
    code: "token",
    returnPath: "redirectPath",
    older: { path: "redirectPath", label: "subdomain" },
    hostMissing: "Missing projectIngressProxyHost or subdomain",
    hostInvalid: "Invalid projectIngressProxyHost",
    unavailable: { status: 502, error: "auth_unavailable" },
    refused: { host: "Invalid ingress host", notCanonical: "Non-canonical ingress host" },
  },
} as const satisfies Readonly<Record<string, SignInWords>>

/** The value of the option `words`. */
export type SignInWordsName = keyof typeof signInWords

/** The words of an option's value. */
export const wordsOf = (name: SignInWordsName): SignInWords => signInWords[name]
