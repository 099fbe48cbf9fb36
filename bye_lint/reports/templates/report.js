(() => {
  const tools = document.querySelector("[data-tools]");
  if (!tools) return;
  tools.hidden = false;
  const list = document.getElementById("suspect-list");
  const cards = [...list.children];
  const texts = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
  const search = document.getElementById("filter");
  const order = document.getElementById("order");
  const said = document.getElementById("shown");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      const fits = words.every((word) => texts.get(card).includes(word));
      card.hidden = !fits;
      count += fits;
    }
    said.textContent = `${count} of ${cards.length} shown`;
  };
  const keys = {
    score: (a, b) => b.dataset.score - a.dataset.score,
    place: (a, b) => a.dataset.path.localeCompare(b.dataset.path) || a.dataset.line - b.dataset.line,
    answer: (a, b) => a.dataset.answer.localeCompare(b.dataset.answer) || keys.score(a, b),
  };
  search.addEventListener("input", filter);
  order.addEventListener("change", () => list.append(...cards.sort(keys[order.value])));
  document.getElementById("heat").addEventListener("change", (event) => {
    document.body.classList.toggle("cold", !event.target.checked);
  });
  filter();
})();
