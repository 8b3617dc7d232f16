/** Defaults, and what a caller gave instead of them; `undefined` is nothing. */
export const givenLimits = <Limits extends object>(defaults: Limits, given: Partial<Limits> = {}): Limits => ({
  ...defaults,
  ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<Limits>),
})
