/**
 * Commands to Fly's proxy, which a client may not give, and fields that it overwrites. `fly-client-ip` and the like are not
 * listed: Fly sets them itself, and a client's forgery would replace Fly's value if it was tunnelled.
 */
export const flyInterceptedHeaders: readonly string[] = [
  "fly-force-instance-id",
  "fly-prefer-instance-id",
  "fly-force-region",
  "fly-prefer-region",
  "fly-replay-cache-control",
  "flyio-debug",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-port",
  "x-forwarded-ssl",
]
