// Inside another page of the same server (index.html?embedded=1): texts come as messages, and so the answers go. Nothing is shown.

const tell = (message) => parent.postMessage(message, location.origin);

/** Tell what is going on. */
export function say(said, wrong = false) {
  tell({ said, wrong });
}

/** Answer the values that the outer page sends, each with a number that the answer repeats. */
export function listen(page) {
  addEventListener("message", ({ data, origin, source }) => {
    if (origin !== location.origin || source !== parent) return;
    page.give(data.values, ({ answer, inputs, milliseconds }) => {
      const lengths = inputs.map(({ ids, all }) => ({ read: ids.length, all }));
      tell({ number: data.number, answer, lengths, milliseconds, precision: page.precision });
    });
  });
  tell({ ready: true });
}
