import './completions.css';
import './outputs.css';
import './prompt.css';
