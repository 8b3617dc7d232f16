/** The whole style of the console, in the browser's own colours, light and dark. */
export const STYLE = `:root{color-scheme:light dark;--line:color-mix(in srgb,CanvasText 22%,Canvas);--soft:color-mix(in srgb,CanvasText 68%,Canvas);--bad:light-dark(#b3261e,#ff8a80);--good:light-dark(#146c2e,#7bd88f);--warn:light-dark(#8a5300,#ffc46b)}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1.5rem 1rem 4rem;color:CanvasText;background:Canvas;overflow-wrap:anywhere}
h1{font-size:1.2rem;margin:0 0 1rem}h2{font-size:1rem;margin:2rem 0 .5rem}
code,td.m{font-family:ui-monospace,monospace;font-size:.92em}
form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
input[type=text]{flex:1 1 18rem;font:inherit;padding:.45rem .6rem;border:1px solid var(--line);border-radius:6px;color:inherit;background:Canvas}
#path{flex:0 1 14rem}
button{font:inherit;padding:.45rem 1rem;border:1px solid var(--line);border-radius:6px;background:CanvasText;color:Canvas;cursor:pointer}
:focus-visible{outline:2px solid Highlight;outline-offset:2px}
.note,small,dt{color:var(--soft)}
.end{border:1px solid var(--line);border-left:4px solid var(--good);border-radius:6px;padding:.6rem .8rem;margin:1rem 0}
.end.bad{border-left-color:var(--bad)}.bad>b,td.bad{color:var(--bad)}td.warn{color:var(--warn)}
ol.road{list-style:none;margin:0;padding:0}
.road li{position:relative;padding:.15rem 0 .7rem 2rem}
.road li::before{content:"";position:absolute;left:.5rem;top:.5rem;width:.7rem;height:.7rem;border-radius:50%;background:var(--good)}
.road li::after{content:"";position:absolute;left:.81rem;top:1.25rem;bottom:-.45rem;border-left:2px solid var(--line)}
.road li:last-child::after{display:none}
.road li.stop::before{background:var(--bad);border-radius:2px;transform:rotate(45deg)}
.road li.skip::before{background:var(--warn)}
.road li.behind{opacity:.6}.road li.behind::before{background:Canvas;border:2px solid var(--line)}.road li.behind::after,.road li.stop::after{border-left-style:dashed}
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:600;color:var(--soft)}th,td{padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.5rem 0}dd{margin:0}
a{color:inherit}@media(max-width:40rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}`

/** Its one script: \`/\` goes to the search. The page does all it does without it. */
export const SCRIPT = `addEventListener("keydown",e=>{if(e.key!=="/"||e.ctrlKey||e.metaKey||e.altKey||/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName))return
e.preventDefault();let i=document.getElementById("hostname");i.focus();i.select()})`
