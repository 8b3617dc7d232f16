import { fileState } from "@project-ingress/router/stores/file-state"

/** A small file, which is there whole or not at all, and which only this user may read and write. */
export const textFile = (path: string) => {
  const state = fileState(path)
  return {
    /** `undefined`: there is no such file. */
    load: async (): Promise<string | undefined> => {
      const bytes = (await state.load()) as Uint8Array | undefined
      return bytes === undefined ? undefined : new TextDecoder().decode(bytes)
    },
    save: async (text: string): Promise<void> => {
      await state.save(new TextEncoder().encode(text))
    },
  }
}
