import './completions.css';
