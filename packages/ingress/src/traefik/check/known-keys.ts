const set = (text: string): ReadonlySet<string> => new Set(text.split(" "))

/** The keys that Traefik 3 knows, for places that the published JSON Schemas leave open. One that it does not know fails the whole file. */
export const knownKeys = {
  static: set(
    "accessLog api certificatesResolvers core entryPoints experimental global hostResolver log metrics ocsp ping providers " +
      "serversTransport spiffe tcpServersTransport tracing",
  ),
  root: set("http tcp udp tls"),
  http: set("routers services middlewares serversTransports models"),
  tcp: set("routers services middlewares serversTransports models"),
  udp: set("routers services"),
  tls: set("certificates options stores"),
  httpRouter: set("entryPoints rule ruleSyntax priority middlewares service tls observability parentRefs"),
  tcpRouter: set("entryPoints rule ruleSyntax priority middlewares service tls"),
  udpRouter: set("entryPoints service"),
  httpService: set("loadBalancer weighted mirroring failover highestRandomWeight"),
  tcpService: set("loadBalancer weighted"),
  udpService: set("loadBalancer weighted"),
  httpBalancer: set(
    "servers sticky healthCheck passiveHealthCheck passHostHeader responseForwarding serversTransport strategy",
  ),
  tcpBalancer: set("servers proxyProtocol serversTransport terminationDelay healthCheck"),
  udpBalancer: set("servers"),
  httpServer: set("url weight preservePath fenced"),
  tcpServer: set("address tls"),
  udpServer: set("address"),
  httpMiddleware: set(
    "addPrefix basicAuth buffering chain circuitBreaker compress contentType digestAuth encodedCharacters errors forwardAuth grpcWeb headers " +
      "inFlightReq ipAllowList passTLSClientCert plugin rateLimit redirectRegex redirectScheme replacePath replacePathRegex retry " +
      "stripPrefix stripPrefixRegex",
  ),
  // `ipWhiteList` is of version 2.
  tcpMiddleware: set("inFlightConn ipAllowList"),
  httpTransport: set(
    "certificates cipherSuites disableHTTP2 forwardingTimeouts insecureSkipVerify maxIdleConnsPerHost maxVersion minVersion peerCertURI " +
      "rootCAs serverName spiffe",
  ),
  tcpTransport: set("dialKeepAlive dialTimeout proxyProtocol terminationDelay tls"),
  tlsOptions: set(
    "alpnProtocols cipherSuites clientAuth curvePreferences disableSessionTickets maxVersion minVersion preferServerCipherSuites sniStrict",
  ),
  routerTls: set("options certResolver domains passthrough"),
} as const
