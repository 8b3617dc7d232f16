/**
 * Loaded before the command in a process of its own: at SIGUSR2 it prints the octets that are reachable, not what waits for a
 * collection. That is what grows when something leaks.
 */
declare const Bun: { readonly gc: (synchronous: boolean) => void } | undefined
declare const gc: (() => void) | undefined

process.on("SIGUSR2", () => {
  for (let i = 0; i < 2; i++) {
    if (typeof Bun === "undefined") gc!()
    else Bun.gc(true)
  }
  const { heapUsed, external } = process.memoryUsage()
  console.log(`heap ${heapUsed + external}`)
})
