// A proxy of one line, as everybody writes it first: what workerd itself costs for each request.
export default {
  fetch: (request: Request, { MACHINE_PORT }: { readonly MACHINE_PORT: string }): Promise<Response> => {
    const url = new URL(request.url)
    url.hostname = "127.0.0.1"
    url.port = MACHINE_PORT
    return fetch(new Request(url, request))
  },
}
