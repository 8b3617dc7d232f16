import type { IngressStorage } from "../storage/ingress-storage.ts"
import { askStorage } from "./ask-storage.ts"
import type { IngressEvent } from "./ingresses.ts"

/** The mark of a storage: which change is being carried out. */
export interface ChangeMark {
  /** Rejects where it cannot be written. `undefined` erases it. */
  readonly mark: (note: string | undefined) => Promise<void>
  /** As `mark`, for what goes on without: a failure is an event. */
  readonly tryMark: (note: string | undefined) => Promise<void>
  /**
   * Whether the mark is still this process's. Another one that began a change, or reconciled, while this one was carrying out its
   * own, may have brought fronts to what was stored before: each writes its mark before it touches a front, and looks at it after it has
   * stored. True where the storage keeps none.
   */
  readonly isUndisturbed: (note: string) => Promise<boolean>
}

export const changeMark = (
  storage: IngressStorage,
  timeoutMs: number,
  onEvent: (event: IngressEvent) => void,
): ChangeMark => {
  const mark: ChangeMark["mark"] = async (note) => {
    if (storage.mark !== undefined) await askStorage(timeoutMs, () => storage.mark!(note))
  }
  return {
    mark,
    tryMark: (note) => mark(note).catch((cause: unknown) => onEvent({ type: "error", during: "mark", cause })),
    isUndisturbed: async (note) => {
      if (storage.mark === undefined || storage.marked === undefined) return true
      try {
        return (await askStorage(timeoutMs, () => storage.marked!())) === note
      } catch {
        return false
      }
    },
  }
}
