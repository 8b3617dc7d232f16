/**
 * Ingresses in the files of a folder. For Node.
 *
 * @module
 */
export { fileStorage } from "./storage/file/file-storage.ts"
export type { FileStorageOptions, NotedStorage } from "./storage/file/file-storage.ts"
