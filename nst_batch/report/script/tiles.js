// --- small pictures, once they come near ------------------------------------------------------------------------------

const near = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) if (isIntersecting) show(target);
}, { root: main, rootMargin: "600px" });

function show(image) {
  image.src = data.thumbnails[image.dataset.small];
  near.unobserve(image);
}
addEventListener("beforeprint", () => {
  for (const image of main.querySelectorAll("img:not([src])")) { image.decoding = "sync"; show(image); }
});

function small(item, alt) {
  if (!data.thumbnails[item.thumbnail]) return el("span", { class: "hollow" }, el("span", { text: "no preview" }));
  const image = el("img", { alt, "data-small": item.thumbnail, decoding: "async" });
  near.observe(image);
  return image;
}

const WORDS = { failed: "failed", todo: "not rendered yet" };

function frame(picture) {
  if (picture.state === "done") return small(picture, `${picture.contentName} in the style of ${picture.styleName}`);
  const reason = picture.error ? picture.error.message || picture.error.type : "";
  const others = picture.error && picture.error.alike > 1 ? `one of ${picture.error.alike.toLocaleString()} like it` : "";
  return el("span", { class: `hollow ${picture.state}` }, el("span", { text: reason || WORDS[picture.state] }),
    others && el("small", { text: others }));
}

function tile(picture, caption) {
  const label = picture.label + (picture.points && `, ${picture.points}`);
  return el("button", {
    class: "pic", "data-place": picture.place, tabindex: "-1", "aria-label": `${label}: ${WORDS[picture.state] || "done"}`,
    title: label, "--ratio": ratioOf(picture).toFixed(4), onclick: () => openLarge(picture),
  }, el("span", { class: "frame" }, frame(picture)), caption && el("span", { class: "caption" }, caption));
}

// --- large ones: the small one at once, the file itself when it has come ----------------------------------------------

function large(item, alt, className) {
  const image = el("img", { alt, class: className, draggable: "false" });
  const link = data.thumbnails[item.thumbnail];
  const whole = item.href && !/\.tiff?$/i.test(item.href) ? item.href : null;  // browsers cannot show TIFF
  if (link || whole) image.src = link || whole;
  if (link && whole) {
    const coming = new Image();
    coming.onload = () => { image.src = coming.src; };
    coming.src = whole;
  }
  return image;
}
