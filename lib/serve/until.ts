/** Waiting that ends. */

/** Whether it happens in this time. */
export async function within(ms: number, event: Promise<void>): Promise<boolean> {
  let timer: number | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([event.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for it, but no longer than until the signal, with which nothing of the waiting stays behind. @throws what it rejects with */
export async function until(event: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const gone = Promise.withResolvers<void>();
  const go = () => gone.resolve();
  signal.addEventListener("abort", go, { once: true });
  if (signal.aborted) go();
  try {
    await Promise.race([event, gone.promise]);
  } finally {
    signal.removeEventListener("abort", go);
  }
}
