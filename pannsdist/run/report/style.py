"""The style sheet of a report, for light and dark mode."""

STYLE = """
:root { color-scheme: light dark; --ground: #fbfbfa; --panel: #ffffff; --ink: #1d2430; --quiet: #687084;
  --rule: #e4e6ea; --accent: #2563a8; --second: #d9772b; --wrong: #c8442f; --on: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171c; --panel: #1c2027; --ink: #e6e8ec; --quiet: #99a1b0; --rule: #2d333d;
    --accent: #6aa9ec; --second: #f0a05a; --wrong: #ef7a66; --on: #10131a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.5; font-size: 15px;
  font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei",
    "Noto Sans CJK SC", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 30px; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 10px; }
h3 { font-size: 15px; margin: 18px 0 6px; font-weight: 600; }
p { margin: 6px 0; }
section { margin-top: 36px; }
.quiet { color: var(--quiet); font-weight: 400; }
.note { background: var(--panel); border-left: 3px solid var(--second); padding: 8px 12px; margin-top: 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 10px; margin: 18px 0 8px; }
.tile { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
.tile span { display: block; color: var(--quiet); font-size: 12.5px; overflow-wrap: anywhere; }
.chosen { border-color: var(--accent); }
.chosen b { color: var(--accent); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 12px; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--rule); border-radius: 8px;
  padding: 10px 10px 4px; }
figcaption { font-size: 12.5px; }
.key::before { content: ""; display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin: 0 5px 0 4px;
  background: var(--accent); }
.key1::before { background: var(--second); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); }
.tick { fill: var(--quiet) !important; font-size: 10.5px; }
.grid { stroke: var(--rule); }
.best { fill: none; stroke: var(--quiet); stroke-dasharray: 3 3; }
.line { fill: none; stroke: var(--accent); stroke-width: 1.8; stroke-linejoin: round; }
.line1 { stroke: var(--second); }
.dot { fill: var(--accent); }
.dot1 { fill: var(--second); }
.wide { overflow-x: auto; }
.cell { fill: var(--accent); stroke: var(--rule); stroke-width: 0.6; }
.wrong { fill: var(--wrong); }
.count.on { fill: var(--on); }
img { max-width: 100%; border-radius: 8px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 18px 4px 8px; border-bottom: 1px solid var(--rule); font-weight: 400;
  vertical-align: top; overflow-wrap: anywhere; }
tr:first-child th { color: var(--quiet); }
details tr:first-child th { color: inherit; }
.bar { background: linear-gradient(to right, color-mix(in srgb, var(--accent) 28%, transparent) var(--filled),
  transparent var(--filled)); min-width: 130px; }
.players { list-style: none; margin: 0; padding: 0; display: grid; gap: 8px;
  grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); }
.players li { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 8px 12px;
  display: flex; flex-direction: column; font-size: 13.5px; overflow-wrap: anywhere; }
audio { width: 100%; height: 34px; margin-top: 6px; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px;
  overflow-x: auto; }
.both { display: grid; gap: 36px; grid-template-columns: minmax(0, 1fr); }
.both h2 { margin-top: 0; }
@media (min-width: 900px) { .halves { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 12px; }
.curves figure { padding: 10px 12px 6px; }
.curves figcaption { overflow-wrap: anywhere; margin-bottom: 4px; }
.spectrogram { margin-top: 6px; }
.players b { font-weight: 600; }
.number { text-align: right; }
.sum th, .sum td { border-bottom: none; border-top: 1px solid var(--quiet); }
.pairs th { color: var(--quiet) !important; white-space: nowrap; }
code { font-size: 13px; }
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--quiet); margin-bottom: 8px; }
"""
