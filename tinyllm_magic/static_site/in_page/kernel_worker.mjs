// The kernel's worker, which begins before it is asked to.
import { begin } from "./kernel.mjs?VERSION";
import "WORKER";

begin().catch(() => {}); // whoever asks for the kernel is told
