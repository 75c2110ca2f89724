// Gradio's own messages, in the words of this page: it has no setting for them.

const BUSY = "The server does not answer or is busy. Try again in a moment.";
// From then on Gradio ignores every event, and it loads the page again when the server is back.
const LOST = "The server is out of reach. This page loads again as soon as the server is back.";
const WORDS = [
  [/Connection to the server was lost/, LOST],
  [/maximum allowed size/, "This file is too large; choose a picture of at most MAX_MB MB."],
  [/Invalid file type/, "This file is not a picture; choose a JPEG, PNG or WebP file."],
  [/^Value \S+ is (less|greater) than/, "Choose a whole number from 0 to MAX_SEED."],
  [/connection|failed to fetch|currently busy|queue is full/i, BUSY],
];

function reword() {
  for (const message of document.querySelectorAll(".toast-body")) {
    const texts = document.createTreeWalker(message, NodeFilter.SHOW_TEXT);
    for (let text; (text = texts.nextNode()); ) {
      if (text.data.trim() == "Error") text.data = "Sorry";
      const found = WORDS.find(([pattern, ours]) => pattern.test(text.data) && text.data != ours);
      if (found) text.data = found[1];
      if (text.data == LOST) message.querySelector(".toast-close").hidden = true;
    }
  }
}
new MutationObserver(reword).observe(document.body, {childList: true, subtree: true});
