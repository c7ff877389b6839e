using Iced.Intel;
using MicroVm.Diagnostics;
using Xunit;
using Decoder = Iced.Intel.Decoder;

namespace MicroVm.Tests.Diagnostics;

/// <summary>What the binary decodes itself is what Iced, whole here, decodes.</summary>
public class ExchangeDecoderTests
{
    private static readonly byte[][] Prefixes = [[], [0x66], [0xf3], [0xf2], [0x2e], [0x67], [0x66, 0xf3], [0xf3, 0x66], [0x66, 0x66], [0x26, 0x66], [0xf3, 0xf2], [0xf2, 0xf3]];

    [Theory]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(64)]
    public void Nop_pause_and_exchange_are_as_Iced_decodes_them(int bits)
    {
        foreach (byte[] prefixes in Prefixes)
        {
            for (int rex = 0x3f; rex <= (bits == 64 ? 0x4f : 0x3f); rex++)
            {
                for (int opcode = 0x90; opcode <= 0x97; opcode++)
                {
                    byte[] bytes = rex == 0x3f ? [.. prefixes, (byte)opcode] : [.. prefixes, (byte)rex, (byte)opcode];
                    Instruction whole = Decode(bits, bytes), emptied = Emptied(whole);
                    ExchangeDecoder.Complete(ref emptied, bytes);
                    Assert.True(Instruction.EqualsAllBits(whole, emptied), $"{bits} bits, {Convert.ToHexString(bytes)}: {whole}, not {emptied}");
                }
            }
        }
    }

    [Theory]
    [InlineData("cc")]
    [InlineData("4891")]
    [InlineData("0fc8")]
    public void An_instruction_that_is_decoded_is_left_as_it_is(string hex)
    {
        byte[] bytes = Convert.FromHexString(hex);
        Instruction whole = Decode(64, bytes), same = whole;
        ExchangeDecoder.Complete(ref same, bytes);
        Assert.True(Instruction.EqualsAllBits(whole, same));
    }

    // VEX, XOP and EVEX: the binary is without these decoders too, and their second byte may look like an exchange.
    [Theory]
    [InlineData("c590")]
    [InlineData("66c491")]
    [InlineData("6297")]
    [InlineData("8f93")]
    public void A_vector_instruction_stays_unknown(string hex)
    {
        Instruction unknown = new() { CodeSize = CodeSize.Code64 };
        ExchangeDecoder.Complete(ref unknown, Convert.FromHexString(hex));
        Assert.Equal(Code.INVALID, unknown.Code);
    }

    private static Instruction Decode(int bits, byte[] bytes) => Decoder.Create(bits, new ByteArrayCodeReader(bytes), 0x1000).Decode();

    // As Iced leaves it whose handler is cut out: the prefixes are known, what they apply to is not.
    private static Instruction Emptied(Instruction instruction)
    {
        bool pause = instruction.Code == Code.Pause;
        instruction.Code = Code.INVALID;
        instruction.Op0Register = instruction.Op1Register = Register.None;
        if (pause) instruction.HasRepePrefix = true;
        return instruction;
    }
}
