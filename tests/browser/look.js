// What is wrong with how the page looks, as a list of words. What is folded is unfolded, of many services that of the first.
(() => {
  const wrong = [], say = (what, e) => { if (wrong.length < 20) wrong.push(what + ": " + (e.textContent || e.outerHTML).trim().slice(0, 80)); };
  document.querySelectorAll("details").forEach((d, i) => { if (i < 60) d.open = true; });
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) wrong.push("scrolls: " + document.documentElement.scrollWidth + " of " + width);
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 1 && r.height > 1 && getComputedStyle(e).visibility === "visible"; };
  const rgb = c => { const m = c.match(/[\d.]+/g); return m ? m.map(Number) : [0, 0, 0, 0]; };
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const contrast = (a, b) => { const x = light(a), y = light(b); return (Math.max(x, y) + .05) / (Math.min(x, y) + .05); };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  let texts = 0;
  for (const e of document.body.querySelectorAll("*")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !seen(e) || e.tagName === "title") continue;
    const r = e.getBoundingClientRect(), svg = e.closest("svg");
    texts++;
    if (r.right > width + .5 || r.left < -.5) say("outside", e);
    let front = rgb(getComputedStyle(e).color), back = behind(e);
    if (svg) {
      const box = svg.getBoundingClientRect(), shape = e.parentElement !== svg && e.parentElement.querySelector("rect, circle");
      front = rgb(getComputedStyle(e).fill);
      if (r.right > box.right + 1 || r.left < box.left - 1 || r.top < box.top - 1 || r.bottom > box.bottom + 1) say("cut", e);
      if (shape && shape.tagName === "rect") {
        const s = shape.getBoundingClientRect(), score = e.classList.contains("name") && e.parentElement.querySelector(".score");
        if (r.right > s.right) say("longer than its box", e);
        if (score && r.right > score.getBoundingClientRect().left) say("over its score", e);
        back = rgb(getComputedStyle(shape).fill);
      } else if (shape && e.classList.contains("number")) back = rgb(getComputedStyle(shape).fill);
    }
    const c = contrast(front.slice(0, 3), back.slice(0, 3));
    if (c < 4.5) say("contrast " + c.toFixed(2), e);
  }
  if (texts < 20) wrong.push("only " + texts + " texts");
  if (performance.getEntriesByType("resource").length) wrong.push("it loads something");
  return wrong;
})()
