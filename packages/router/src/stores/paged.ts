export { pagePublisher } from "./paged/page-publisher.ts"
export type { PagePublisherOptions } from "./paged/page-publisher.ts"
export { pagedStore } from "./paged/paged-store.ts"
export type { PagedStore, PagedStoreOptions } from "./paged/paged-store.ts"
export { cachedPages, httpPages, kvPages, r2Pages } from "./paged/page-storage.ts"
export type {
  KvPagesBinding,
  PageReader,
  PagesCache,
  PagesOptions,
  PageStorage,
  R2PagesBinding,
} from "./paged/page-storage.ts"
export { PublishFailed, PublishRefused } from "./published/publish-errors.ts"
export type { PublishResult, RoutePublisher } from "./published/route-publisher.ts"
