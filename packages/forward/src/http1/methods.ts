/**
 * The methods that are passed on: those registered (IANA), and those that node:http's parser knows. Others are refused: a method
 * we do not know may have framing that we do not know. Without CONNECT and TRACE.
 */
export const methods: ReadonlySet<string> = new Set(
  (
    "GET HEAD POST PUT DELETE OPTIONS PATCH QUERY ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE " +
    "MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE M-SEARCH NOTIFY ORDERPATCH PROPFIND PROPPATCH PURGE REBIND " +
    "REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNCHECKOUT UNLINK UNLOCK UNSUBSCRIBE UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
  ).split(" "),
)
