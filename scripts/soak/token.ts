/** The token of a request: which tenant it is for, and its number in the run. Unique, and recognised wherever it appears. */
export const tokenFor = (tenant: number, sequence: number): string => `t${tenant}n${sequence}z`

export const tenantOf = (token: string): number => Number(/^t(\d+)n/.exec(token)?.[1] ?? -1)

export const sequenceOf = (token: string): number => Number(/n(\d+)z$/.exec(token)?.[1] ?? 0)

/** Every token in a text. */
export const tokensIn = (text: string): readonly string[] => text.match(/\bt\d+n\d+z\b/g) ?? []
