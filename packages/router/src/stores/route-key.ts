/** Whether a hostname can lead to a key, as `candidates` makes them: in lower case, of a domain perhaps with `<port>:` or `*.` before it. */
export const isRouteKey = (key: string): boolean =>
  /^p:[a-z\d]+(?:-[a-z\d]+)*$/.test(key) ||
  /^m:[a-z\d]+(?:[_-][a-z\d]+)*$/.test(key) ||
  /^d:(?:[1-9]\d{0,4}:|\*\.)?[a-z\d-]+(?:\.[a-z\d-]+)*$/.test(key)
