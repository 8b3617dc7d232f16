import { vi } from "vitest"

/** Holds the clock of a test. What is no time, as hashing, goes on. */
export const holdClock = (): void =>
  void vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance", "Date"],
  })

/** Lets everything happen that waits for no clock, until something holds. */
export const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn()
}

/** Lets time pass, 50 ms at a time, until something holds. */
export const passUntil = async (holds: () => boolean): Promise<void> => {
  while (!holds()) {
    await vi.advanceTimersByTimeAsync(50)
    await turn()
  }
}

/** Lets everything happen that waits for no clock: only where nothing more is expected to happen. */
export const settled = async (): Promise<void> => {
  for (let at = 0; at < 50; at++) await turn()
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
