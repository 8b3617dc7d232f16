/** Less than this share of the previous routes looks like a source that has lost some: refused, unless forced. */
export const LEAST_SHARE = 0.85
