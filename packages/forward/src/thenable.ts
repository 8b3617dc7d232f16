/** Whether a value is to be waited for: a promise, by its shape, because libraries have classes of their own. */
export const isThenable = <A>(value: A | PromiseLike<A>): value is PromiseLike<A> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function"
