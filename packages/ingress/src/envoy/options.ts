import { accept, checkOptions } from "@project-ingress/router/internal"

/** How Envoy's configuration is written. */
export interface EnvoyOptions {
  /**
   * - `xds` (default): a bootstrap, and files that Envoy watches: listeners, routes and clusters change without a restart.
   * - `static`: one file with everything, for which Envoy is restarted.
   */
  readonly mode?: "xds" | "static"
  /** Of the bootstrap, or of the static file. Files that Envoy watches are JSON. Default `yaml`. */
  readonly format?: "yaml" | "json"
  /** Where Envoy finds the files that it watches: an absolute path, as Envoy sees it. Required for `xds`. */
  readonly folder?: string
  /** Where listeners listen: an address of this computer. Default `0.0.0.0`. */
  readonly listenAddress?: string
  /** Where the admin API listens; false: nowhere. Default `127.0.0.1`, port 9901. Whoever reaches it can stop Envoy. */
  readonly admin?: { readonly address?: string; readonly port?: number } | false
  /**
   * Files with the certificates of hostnames, as Envoy sees them, by hostname or by `*.example.com` for one label. A rule with `tls` and
   * without a certificate is a problem: Envoy orders none.
   */
  readonly certificates?: Readonly<Record<string, EnvoyCertificate>>
  /** A file with the authorities that certificates of `https` targets are verified by. Default `/etc/ssl/certs/ca-certificates.crt`. */
  readonly trustedCa?: string
  /** True: certificates of `https` targets are not verified. Default false. */
  readonly insecureTargets?: boolean
  /** How many proxies in front of Envoy add to `X-Forwarded-For` and are trusted, 0 to 32. Default 0: the peer is the client. */
  readonly trustedHops?: number
  /** Operational metrics, pushed by OTLP over gRPC. Never traces, which would show what visitors do. Default none. */
  readonly telemetry?: EnvoyTelemetry
}

/** A certificate and its key, in PEM. */
export interface EnvoyCertificate {
  readonly certFile: string
  readonly keyFile: string
}

/** Where metrics go. */
export interface EnvoyTelemetry {
  /** `otel-collector:4317`, with `https://` in front for TLS. */
  readonly endpoint: string
  /** An attribute `service.name` of each metric. */
  readonly serviceName: string
}

const absolutePath = (value: unknown): string | undefined =>
  // Envoy takes them as they are; a control character is in no sensible path.
  typeof value === "string" && /^\/[^\p{Cc}]*$/u.test(value) ? undefined : "an absolute path"

const address = (value: unknown): string | undefined =>
  typeof value === "string" && /^(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F:.]*:[\da-fA-F:.]*)$/.test(value)
    ? undefined
    : "an IP address"

/** @throws {TypeError} for an option that is unknown, missing or invalid */
export const checkEnvoyOptions = (options: EnvoyOptions): void => {
  const owner = "exportEnvoy"
  const required = (options as Partial<EnvoyOptions> | undefined)?.mode === "static" ? [] : ["folder"]
  checkOptions(
    owner,
    options,
    {
      mode: accept.oneOf("xds", "static"),
      format: accept.oneOf("yaml", "json"),
      folder: absolutePath,
      listenAddress: address,
      admin: (value) => (value === false ? undefined : accept.object(value)),
      certificates: accept.object,
      trustedCa: absolutePath,
      insecureTargets: accept.boolean,
      trustedHops: accept.integer(0, 32),
      telemetry: accept.object,
    },
    { required },
  )
  if (options.admin) checkOptions(owner, options.admin, { address, port: accept.integer(1, 65_535) }, { at: "admin" })
  for (const [name, certificate] of Object.entries(options.certificates ?? {})) {
    const fields = { certFile: absolutePath, keyFile: absolutePath }
    checkOptions(owner, certificate, fields, { at: `certificates.${name.slice(0, 64)}`, required: Object.keys(fields) })
  }
  if (options.telemetry !== undefined) {
    const fields = {
      endpoint: (value: unknown) =>
        typeof value === "string" && readEndpoint(value) !== undefined ? undefined : "host:port",
      serviceName: (value: unknown) =>
        typeof value === "string" && /^[\x21-\x7e]{1,255}$/.test(value) ? undefined : "1 to 255 characters of ASCII",
    }
    checkOptions(owner, options.telemetry, fields, { at: "telemetry", required: Object.keys(fields) })
  }
}

/** Where telemetry goes, or `undefined` if it is no such address. */
export const readEndpoint = (
  text: string,
): { readonly host: string; readonly port: number; readonly isTls: boolean } | undefined => {
  const parts = /^(?:(https?):\/\/)?(\[[\da-fA-F:.]+\]|[\w.-]+):(\d{1,5})\/?$/.exec(text)
  const [, scheme, host = "", digits] = parts ?? []
  const port = Number(digits)
  if (parts === null || port < 1 || port > 65_535) return undefined
  return { host: host.replace(/^\[|\]$/g, ""), port, isTls: scheme === "https" }
}

/**
 * The options that the variables of an ingress manager with an Envoy say: `ENVOY_LISTEN_ADDRESS`, `ENVOY_ADMIN_ADDRESS`,
 * `ENVOY_ADMIN_PORT`, and `OTEL_ENABLED`, `OTEL_ENDPOINT`, `OTEL_SERVICE_NAME`, to which `-envoy` is added.
 * `ENVOY_STOP_ON_SHUTDOWN` is the supervision's.
 *
 * @throws {TypeError} for a port that is not from 1 to 65535, and without `OTEL_ENDPOINT` if `OTEL_ENABLED` is `true`
 */
export const envoyOptionsFromEnvironment = (
  env: Readonly<Record<string, string | undefined>>,
): Pick<EnvoyOptions, "listenAddress" | "admin" | "telemetry"> => {
  const { ENVOY_LISTEN_ADDRESS, ENVOY_ADMIN_ADDRESS, ENVOY_ADMIN_PORT, OTEL_ENDPOINT, OTEL_SERVICE_NAME } = env
  const admin = {
    ...(ENVOY_ADMIN_ADDRESS ? { address: ENVOY_ADMIN_ADDRESS } : {}),
    ...(ENVOY_ADMIN_PORT ? { port: Number(ENVOY_ADMIN_PORT) } : {}),
  }
  const isTelemetryOn = env["OTEL_ENABLED"] === "true"
  if (isTelemetryOn && !OTEL_ENDPOINT) throw new TypeError("OTEL_ENABLED needs OTEL_ENDPOINT, host:port of a collector")
  const options = {
    ...(ENVOY_LISTEN_ADDRESS ? { listenAddress: ENVOY_LISTEN_ADDRESS } : {}),
    ...(Object.keys(admin).length === 0 ? {} : { admin }),
    ...(isTelemetryOn
      ? { telemetry: { endpoint: OTEL_ENDPOINT!, serviceName: `${OTEL_SERVICE_NAME || "project-ingress"}-envoy` } }
      : {}),
  }
  checkEnvoyOptions({ ...options, mode: "static" })
  return options
}
