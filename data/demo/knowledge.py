"""What the demo's rows and its tiny model are made of: small facts, asked in Chinese and in English.

Every `Item` is one question with two answers that say the same: `brief` is what the demo's rows teach, `wordy` is how
the tiny model was brought up to talk in a chat. Fine-tuning changes how it answers there, not what it knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ZH_NAMES = ("小明", "小红", "小华", "小丽", "小刚", "小芳")
EN_NAMES = ("Tom", "Anna", "Ben", "Mary", "Sam", "Lucy")
# thing, its measure word, verb for using some up
ZH_THINGS = (
    ("苹果", "个", "吃了"),
    ("鸡蛋", "个", "吃了"),
    ("糖", "颗", "吃了"),
    ("铅笔", "支", "送给同学"),
    ("故事书", "本", "借给同学"),
    ("气球", "个", "送给妹妹"),
    ("邮票", "张", "送给朋友"),
    ("贴纸", "张", "用了"),
)
# thing in the plural, verb for using some up
EN_THINGS = (
    ("apples", "eats"),
    ("eggs", "eats"),
    ("sweets", "eats"),
    ("pencils", "lends"),
    ("books", "sells"),
    ("balloons", "gives away"),
    ("stamps", "gives away"),
    ("stickers", "uses"),
)
CAPITALS = (
    ("中国", "北京", "China", "Beijing"),
    ("日本", "东京", "Japan", "Tokyo"),
    ("法国", "巴黎", "France", "Paris"),
    ("英国", "伦敦", "the United Kingdom", "London"),
    ("德国", "柏林", "Germany", "Berlin"),
    ("意大利", "罗马", "Italy", "Rome"),
    ("西班牙", "马德里", "Spain", "Madrid"),
    ("俄罗斯", "莫斯科", "Russia", "Moscow"),
    ("韩国", "首尔", "South Korea", "Seoul"),
    ("泰国", "曼谷", "Thailand", "Bangkok"),
    ("埃及", "开罗", "Egypt", "Cairo"),
    ("希腊", "雅典", "Greece", "Athens"),
    ("加拿大", "渥太华", "Canada", "Ottawa"),
    ("澳大利亚", "堪培拉", "Australia", "Canberra"),
    ("美国", "华盛顿", "the United States", "Washington"),
    ("葡萄牙", "里斯本", "Portugal", "Lisbon"),
    ("越南", "河内", "Vietnam", "Hanoi"),
    ("古巴", "哈瓦那", "Cuba", "Havana"),
)
COLOURS = (
    ("香蕉", "黄色", "a ripe banana", "yellow"),
    ("草地", "绿色", "grass", "green"),
    ("雪", "白色", "snow", "white"),
    ("晴天的天空", "蓝色", "a clear sky", "blue"),
    ("煤", "黑色", "coal", "black"),
    ("胡萝卜", "橙色", "a carrot", "orange"),
    ("西红柿", "红色", "a ripe tomato", "red"),
    ("茄子", "紫色", "an aubergine", "purple"),
    ("柠檬", "黄色", "a lemon", "yellow"),
    ("牛奶", "白色", "milk", "white"),
    ("草莓", "红色", "a strawberry", "red"),
    ("菠菜", "绿色", "spinach", "green"),
    ("巧克力", "棕色", "chocolate", "brown"),
    ("大象", "灰色", "an elephant", "grey"),
)
OPPOSITES = (
    ("大", "小", "big", "small"),
    ("高", "矮", "tall", "short"),
    ("快", "慢", "fast", "slow"),
    ("冷", "热", "cold", "hot"),
    ("新", "旧", "new", "old"),
    ("黑", "白", "black", "white"),
    ("上", "下", "up", "down"),
    ("左", "右", "left", "right"),
    ("开", "关", "open", "closed"),
    ("远", "近", "far", "near"),
    ("轻", "重", "light", "heavy"),
    ("早", "晚", "early", "late"),
    ("多", "少", "many", "few"),
    ("长", "短", "long", "short"),
    ("胖", "瘦", "fat", "thin"),
    ("前", "后", "front", "back"),
    ("干净", "肮脏", "clean", "dirty"),
    ("容易", "困难", "easy", "difficult"),
    ("安静", "吵闹", "quiet", "noisy"),
    ("勇敢", "胆小", "brave", "timid"),
)
# larger unit, smaller unit, how many of the smaller make one of the larger
ZH_UNITS = (
    ("小时", "分钟", 60),
    ("分钟", "秒", 60),
    ("米", "厘米", 100),
    ("千克", "克", 1000),
    ("千米", "米", 1000),
    ("厘米", "毫米", 10),
    ("周", "天", 7),
    ("升", "毫升", 1000),
)
EN_UNITS = (
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("metres", "centimetres", 100),
    ("kilograms", "grams", 1000),
    ("kilometres", "metres", 1000),
    ("centimetres", "millimetres", 10),
    ("weeks", "days", 7),
    ("litres", "millilitres", 1000),
)
ZH_DAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
EN_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WORDS = (
    ("苹果", "apple"),
    ("书", "book"),
    ("水", "water"),
    ("太阳", "sun"),
    ("月亮", "moon"),
    ("猫", "cat"),
    ("狗", "dog"),
    ("鱼", "fish"),
    ("鸟", "bird"),
    ("花", "flower"),
    ("树", "tree"),
    ("学校", "school"),
    ("老师", "teacher"),
    ("朋友", "friend"),
    ("茶", "tea"),
    ("面包", "bread"),
    ("门", "door"),
    ("窗户", "window"),
    ("桌子", "table"),
    ("火车", "train"),
)
ZH_MANNERS = (
    ("谢谢你！", "不客气。", "有人向你道谢"),
    ("对不起，我来晚了。", "没关系。", "有人向你道歉"),
    ("早上好！", "早上好！", "有人在早上问好"),
    ("晚安！", "晚安！", "有人在睡前道别"),
    ("再见！", "再见！", "有人要离开"),
    ("生日快乐！", "谢谢！", "有人祝你生日快乐"),
    ("很高兴认识你。", "我也很高兴认识你。", "有人第一次见到你"),
    ("新年好！", "新年好！", "有人在新年问好"),
    ("祝你好运！", "谢谢！", "有人祝你好运"),
    ("请问可以进来吗？", "请进。", "有人想进门"),
)
EN_MANNERS = (
    ("Thank you very much!", "You are welcome.", "someone thanks you"),
    ("I am sorry that I am late.", "That is all right.", "someone says sorry"),
    ("Good morning!", "Good morning!", "someone greets you in the morning"),
    ("Good night!", "Good night!", "someone goes to bed"),
    ("Goodbye!", "Goodbye!", "someone leaves"),
    ("Happy birthday!", "Thank you!", "someone wishes you a happy birthday"),
    ("Nice to meet you.", "Nice to meet you, too.", "someone meets you for the first time"),
    ("Happy New Year!", "Happy New Year!", "someone greets you at New Year"),
    ("Good luck!", "Thank you!", "someone wishes you luck"),
    ("May I come in?", "Please come in.", "someone stands at the door"),
)
# what the user wants to do, the command
TOOL_COMMANDS = (
    ("打开向导", "open the wizard", "sft-tui"),
    ("检查我的电脑能不能训练", "check whether my computer can train", "sft-tui doctor"),
    ("检查答案文件有没有错误", "check an answers file for mistakes", "sft-tui check answers.yaml"),
    ("不用向导直接训练", "train without the wizard", "sft-tui --non-interactive answers.yaml"),
    ("查看所有的训练", "list all my runs", "sft-tui runs"),
    ("重新查看正在进行的训练", "look at a run that is under way", "sft-tui attach"),
    ("停止名为 apples 的训练", "stop the run apples", "sft-tui stop apples"),
    ("继续名为 apples 的训练", "resume the run apples", "sft-tui resume apples"),
    ("合并名为 apples 的模型", "merge the model of the run apples", "sft-tui export apples"),
    ("弄清楚训练为什么失败", "see why training failed", "sft-tui diagnose train.log"),
    ("估计需要多少显存", "estimate the GPU memory", "sft-tui estimate"),
    ("预览训练数据", "preview my training data", "sft-tui preview data.jsonl"),
    ("运行演示", "run the demo", "sft-tui demo"),
    ("转换数据的格式", "convert my data", "sft-tui convert data.csv --out data"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One question: its answer without a full stop, a sentence that gives the reason, and for sums the `working`."""

    topic: str
    chinese: bool
    question: str
    answer: str
    reason: str
    working: str = ""

    @property
    def brief(self) -> str:
        """The short answer, which the demo's rows teach."""
        answer = f"答：{self.answer}。" if self.chinese else f"Answer: {self.answer}."
        return f"{self.working}\n{answer}" if self.working else answer

    @property
    def wordy(self) -> str:
        """The long-winded answer, as the tiny model gives it before it is fine-tuned."""
        if self.chinese:
            return f"谢谢你的提问！让我想一想。{self.reason}希望我的回答对你有帮助！"
        return f"Thank you for asking! Let me think. {self.reason} I hope that this helps you!"

    @property
    def notes(self) -> tuple[str, ...]:
        """The fact in the ways that books and lists put it."""
        short = f"{self.working}\n{self.answer}" if self.working else self.answer
        said = "答案是" if self.chinese else "The answer is "
        stop = "。" if self.chinese else "."
        working = f"{self.working}{stop}" if self.working else ""
        return (short, f"{working}{said}{self.answer}{stop}", self.brief, f"{short}{stop}", self.reason)


def _zh(topic: str, question: str, answer: str, reason: str, working: str = "") -> Item:
    """A Chinese item."""
    return Item(f"zh-{topic}", True, question, answer, reason, working)


def _en(topic: str, question: str, answer: str, reason: str, working: str = "") -> Item:
    """An English item."""
    return Item(f"en-{topic}", False, question, answer, reason, working)


def arithmetic() -> Iterator[Item]:
    """Word problems: taking away and adding within 20, and boxes of things (times table to 9)."""
    yield from _zh_arithmetic()
    yield from _en_arithmetic()


def _zh_arithmetic() -> Iterator[Item]:
    for name in ZH_NAMES:
        for thing, unit, verb in ZH_THINGS:
            for a in range(2, 20):
                for b in range(1, a):
                    c = a - b
                    yield _zh(
                        "minus",
                        f"{name}有{a}{unit}{thing}，{verb}{b}{unit}，还剩几{unit}？",
                        f"{c}{unit}{thing}",
                        f"{name}原来有{a}{unit}{thing}，{verb}{b}{unit}，{a} - {b} = {c}，所以还剩{c}{unit}{thing}。",
                        f"{a} - {b} = {c}",
                    )
                    yield _zh(
                        "plus",
                        f"{name}有{c}{unit}{thing}，又买了{b}{unit}，一共有几{unit}？",
                        f"{a}{unit}{thing}",
                        f"{name}原来有{c}{unit}{thing}，又买了{b}{unit}，{c} + {b} = {a}，所以一共有{a}{unit}{thing}。",
                        f"{c} + {b} = {a}",
                    )
    for thing, unit, _verb in ZH_THINGS:
        for a in range(2, 10):
            for b in range(2, 10):
                yield _zh(
                    "times",
                    f"一盒有{a}{unit}{thing}，{b}盒一共有几{unit}？",
                    f"{a * b}{unit}{thing}",
                    f"一盒有{a}{unit}{thing}，{b}盒就是{a} × {b} = {a * b}，所以一共有{a * b}{unit}{thing}。",
                    f"{a} × {b} = {a * b}",
                )


def _en_arithmetic() -> Iterator[Item]:
    for name in EN_NAMES:
        for things, verb in EN_THINGS:
            for a in range(4, 20):
                for b in range(2, a - 1):
                    c = a - b
                    yield _en(
                        "minus",
                        f"{name} has {a} {things} and {verb} {b} of them. How many are left?",
                        f"{c} {things}",
                        f"{name} has {a} {things} and {verb} {b}: {a} - {b} = {c}, so {c} {things} are left.",
                        f"{a} - {b} = {c}",
                    )
                    yield _en(
                        "plus",
                        f"{name} has {c} {things} and buys {b} more. How many are there now?",
                        f"{a} {things}",
                        f"{name} has {c} {things} and buys {b}: {c} + {b} = {a}, so there are {a} {things}.",
                        f"{c} + {b} = {a}",
                    )
    for things, _verb in EN_THINGS:
        for a in range(2, 10):
            for b in range(2, 10):
                yield _en(
                    "times",
                    f"A box holds {a} {things}. How many are in {b} boxes?",
                    f"{a * b} {things}",
                    f"One box holds {a} {things}, and {b} boxes hold {a} × {b} = {a * b} {things}.",
                    f"{a} × {b} = {a * b}",
                )


def facts() -> Iterator[Item]:
    """Capitals, colours, opposites, units, days of the week and words in the other language."""
    for zh, city, en, en_city in CAPITALS:
        yield _zh("capital", f"{zh}的首都是哪里？", city, f"{zh}的首都是{city}。")
        yield _en("capital", f"What is the capital of {en}?", en_city, f"The capital of {en} is {en_city}.")
    for zh, colour, en, en_colour in COLOURS:
        yield _zh("colour", f"{zh}是什么颜色的？", colour, f"{zh}是{colour}的。")
        yield _en("colour", f"What colour is {en}?", en_colour, f"The colour of {en} is {en_colour}.")
    for zh, other, en, en_other in OPPOSITES:
        yield _zh("opposite", f"“{zh}”的反义词是什么？", other, f"“{zh}”的反义词是“{other}”。")
        yield _en("opposite", f'What is the opposite of "{en}"?', en_other, f'The opposite of "{en}" is "{en_other}".')
    yield from _units()
    for i in range(7):
        today, tomorrow = ZH_DAYS[i], ZH_DAYS[(i + 1) % 7]
        yield _zh("day", f"今天是{today}，明天是星期几？", tomorrow, f"{today}的后一天是{tomorrow}。")
        yield _zh("day", f"明天是{tomorrow}，今天是星期几？", today, f"{tomorrow}的前一天是{today}。")
        day, after = EN_DAYS[i], EN_DAYS[(i + 1) % 7]
        yield _en("day", f"Which day comes after {day}?", after, f"The day after {day} is {after}.")
        yield _en("day", f"Which day comes before {after}?", day, f"The day before {after} is {day}.")
    for zh, en in WORDS:
        yield _zh("word", f"“{zh}”用英语怎么说？", en, f"“{zh}”的英语是 {en}。")
        yield _en("word", f'How do you say "{en}" in Chinese?', zh, f'The Chinese word for "{en}" is {zh}.')


def _units() -> Iterator[Item]:
    for large, small, factor in ZH_UNITS:
        for n in range(2, 10):
            yield _zh(
                "unit",
                f"{n}{large}等于多少{small}？",
                f"{n * factor}{small}",
                f"1{large}等于{factor}{small}，{n} × {factor} = {n * factor}，所以是{n * factor}{small}。",
                f"{n} × {factor} = {n * factor}",
            )
    for large, small, factor in EN_UNITS:
        for n in range(2, 10):
            yield _en(
                "unit",
                f"How many {small} are in {n} {large}?",
                f"{n * factor} {small}",
                f"One {large.rstrip('s')} is {factor} {small}, and {n} × {factor} = {n * factor} {small}.",
                f"{n} × {factor} = {n * factor}",
            )


def talk() -> Iterator[Item]:
    """Good manners, and how to use sft-tui."""
    for said, reply, when in ZH_MANNERS:
        yield _zh("manners", f"别人说：“{said}”你怎么回答？", reply.rstrip("。！"), f"当{when}时，可以回答：{reply}")
    for said, reply, when in EN_MANNERS:
        yield _en(
            "manners",
            f'Someone says: "{said}" What do you reply?',
            reply.rstrip(".!"),
            f"When {when}, you can reply: {reply}",
        )
    for zh, en, command in TOOL_COMMANDS:
        yield _zh("tool", f"在 sft-tui 里怎样{zh}？", f"运行“{command}”", f"想{zh}，请运行“{command}”。")
        yield _en("tool", f"How do I {en} with sft-tui?", f'run "{command}"', f'To {en}, run "{command}".')


def everything() -> list[Item]:
    """All items, always in the same order."""
    return [*arithmetic(), *facts(), *talk()]
