let prefix: string | undefined
let made = 0

/**
 * A name for one request, unique among all processes: `k3v9x2m1qa-1f`. Ten random characters of this process, and a number that
 * counts: not a secret, and next to no work.
 */
export const nextRequestId = (): string => {
  // Not while the module is loaded: a Worker has no random numbers then.
  prefix ??= crypto.getRandomValues(new BigUint64Array(1))[0]!.toString(36).padStart(10, "0").slice(-10)
  return `${prefix}-${(made++).toString(36)}`
}

/** Whether a text may be an id that another process made. */
export const isRequestId = (text: string): boolean => /^[A-Za-z0-9._-]{1,64}$/.test(text)
