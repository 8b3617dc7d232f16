import type { HeaderList } from "@project-ingress/forward"

/** Fields as a list; every `Set-Cookie` is a line of its own, because they cannot be joined (RFC 6265 §3). */
export const listFrom = (headers: Headers): string[] => {
  const list: string[] = []
  headers.forEach((value, name) => {
    if (name !== "set-cookie") list.push(name, value)
  })
  for (const cookie of headers.getSetCookie()) list.push("set-cookie", cookie)
  return list
}

/** A list as `Headers`, line by line. */
export const headersFrom = (list: HeaderList): Headers => {
  const headers = new Headers()
  for (let i = 0; i < list.length; i += 2) headers.append(list[i]!, list[i + 1]!)
  return headers
}
