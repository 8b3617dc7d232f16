/** Enough that a disk is not waited for between any two, and few enough for the limit of open files. */
const AT_ONCE = 32

/** Runs for many items, some at once, and gives the results in the order of the items. Rejects as the first of them does. */
export const inChunks = async <Item, Result>(
  items: readonly Item[],
  run: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> => {
  const results: Result[] = []
  for (let at = 0; at < items.length; at += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(run))))
  }
  return results
}
