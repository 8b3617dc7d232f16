// The Worker whose start is compared with the router's: nothing in it.
export default { fetch: (): Response => new Response("hello, ingress") }
