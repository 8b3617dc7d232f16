/** Less than this of the previous routes looks like a source that has lost some. */
const LEAST_SHARE = 0.85

/** How many routes the next state of a source must have, so that it is not more than 15 % smaller than the previous one. */
export const leastRoutes = (previous: number): number => Math.ceil(previous * LEAST_SHARE)
