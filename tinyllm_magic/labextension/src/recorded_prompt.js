/** The prompt of a recorded answer, as `%llm_cache show` shows it. */
const KEY = /^[\w:-]{8,100}$/; // what a notebook file says is not run

/** HTML of the messages of a record; null where there is no such record. */
export async function readPrompt(kernel, key, sanitizer) {
  if (!KEY.test(key)) {
    return null;
  }
  let html = '';
  const future = kernel.requestExecute({ code: `%llm_cache show ${key}`, silent: true, store_history: false, allow_stdin: false });
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === 'display_data') {
      html += content.data['text/html'] ?? '';
    }
  };
  await future.done;
  const page = new DOMParser().parseFromString(html, 'text/html');
  const messages = page.querySelector('.tlm-asked');
  messages?.querySelector('summary')?.remove();
  return messages ? sanitizer.sanitize(messages.innerHTML) : null;
}
