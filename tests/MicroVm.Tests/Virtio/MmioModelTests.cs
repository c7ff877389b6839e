using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Virtio;
using Xunit;
using static MicroVm.Devices.VirtioMmio.Bits;

namespace MicroVm.Tests.Virtio;

/// <summary>Random register writes against a written model of status, features and queues.</summary>
public sealed class MmioModelTests
{
    [Theory]
    [InlineData(1, 500_000)]
    [InlineData(2, 500_000)]
    public void T6_model_and_device_agree(int seed, int steps)
    {
        RecordingDevice device = new();
        using GuestDriver guest = new(device);
        Model model = new();
        Random random = new(seed);
        for (int i = 0; i < steps; i++)
        {
            (string register, uint plus, uint value) = Pick(random, model);
            IoStatus expected = model.Write(register, plus, value);
            IoStatus actual = guest.Write(register, value, plus);
            if (expected != actual || !Agree(guest, model, device))
            {
                Assert.Fail($"seed {seed}, step {i}: {register}+{plus} = 0x{value:x}: {actual} (expected {expected}), status 0x{guest.Status:x} (expected 0x{model.Status:x}), activations {device.Activations} ({model.Activations}), resets {device.Resets} ({model.Resets})");
            }
        }
        Assert.True(model.Activations > 1000, $"only {model.Activations} activations were reached");
        Assert.True(model.Failures > 100, $"only {model.Failures} failed activations were reached");
    }

    private static bool Agree(GuestDriver guest, Model model, RecordingDevice device) =>
        guest.Page.Load<uint>(0x70) == model.Status && guest.Page.Load<uint>(0x60) == model.InterruptStatus
        && guest.Page.Load<uint>(0x44) == model.Ready && guest.Page.Load<uint>(0x34) == model.Max && guest.Page.Load<uint>(0x10) == model.Offered
        && guest.Mmio.AcceptedFeatures == model.Accepted && device.Activations == model.Activations && device.Active == model.Active;

    private static (string, uint, uint) Pick(Random random, Model model)
    {
        switch (random.Next(20))
        {
            case < 7:
                // Mostly the next legal step, so that deep states are reached.
                uint next = model.Status switch { 0 => 1, 1 => 3, 3 => 0xb, 0xb => 0xf, _ => 0 };
                return ("Status", 0, random.Next(4) != 0 ? next : (uint)random.Next(256) >> random.Next(8));
            case 7: return ("Status", 0, (uint)random.Next() << 8);
            case < 11: return ("DriverFeatures", 0, random.Next(8) != 0 ? model.WantedHalf : (uint)random.Next());
            case 11: return ("DriverFeaturesSel", 0, (uint)random.Next(3));
            case 12: return ("DeviceFeaturesSel", 0, (uint)random.Next(3));
            case 13: return ("QueueSel", 0, (uint)random.Next(3));
            case 14: return ("QueueNum", 0, Model.Sizes[random.Next(Model.Sizes.Length)]);
            case 15: return ("QueueReady", 0, (uint)random.Next(4));
            case 16: return (((string[])["QueueDesc", "QueueDriver", "QueueDevice"])[random.Next(3)], 4, random.Next(8) == 0 ? 1u : 0);
            case 17: return ("InterruptAck", 0, (uint)random.Next(4));
            case 18: return ("QueueNotify", 0, (uint)random.Next(4));
            default:
                int which = random.Next(3);
                return (((string[])["QueueDesc", "QueueDriver", "QueueDevice"])[which], 0, random.Next(12) == 0 ? (uint)random.Next(1 << 27) : (uint)(which + 1) << 20);
        }
    }

    private sealed class RecordingDevice() : VirtioDevice("recording", 9, 0b1010, [64, 128], null)
    {
        internal int Activations, Resets;
        internal bool Active;

        public override void Activate(in ActivationContext context)
        {
            Activations++;
            Active = true;
        }

        public override void Reset()
        {
            Resets++;
            Active = false;
        }
    }

    /// <summary>What section 2.1, 3.1 and 4.2.2 say, and nothing of how it is done.</summary>
    private sealed class Model
    {
        internal static readonly uint[] Sizes = [0, 1, 3, 16, 64, 128, 256, 65535];
        private static readonly ulong OfferedBits = 0b1010 | 1ul << 28 | 1ul << 29 | 1ul << 32;

        private readonly Q[] _queues = [new(), new()];
        private uint _deviceSel, _driverSel, _queueSel;

        internal uint Status, InterruptStatus;
        internal ulong Accepted;
        internal int Activations, Resets, Failures;
        internal bool Active;

        internal uint Ready => _queueSel < 2 ? _queues[_queueSel].Ready : 0;
        internal uint Max => _queueSel switch { 0 => 64, 1 => 128, _ => 0u };
        internal uint Offered => _deviceSel switch { 0 => (uint)OfferedBits, 1 => (uint)(OfferedBits >> 32), _ => 0 };
        internal uint WantedHalf => _driverSel switch { 0 => (uint)OfferedBits, 1 => (uint)(OfferedBits >> 32), _ => 0 };

        internal IoStatus Write(string register, uint plus, uint value)
        {
            bool queuesOpen = (Status & 0xc) == 8 || (register == "QueueReady" && (Status & 4) == 0);
            switch (register)
            {
                case "DeviceFeaturesSel": _deviceSel = value; return IoStatus.Ok;
                case "DriverFeaturesSel": _driverSel = value; return IoStatus.Ok;
                case "QueueSel": _queueSel = value; return IoStatus.Ok;
                case "QueueNotify": return IoStatus.Ok;
                case "InterruptAck": InterruptStatus &= ~(value & 2); return IoStatus.Ok;
                case "DriverFeatures":
                    if ((Status & 0xa) != 2) return IoStatus.WrongState;
                    if (_driverSel == 0) Accepted = (Accepted >> 32 << 32) | value;
                    if (_driverSel == 1) Accepted = (uint)Accepted | ((ulong)value << 32);
                    return IoStatus.Ok;
                case "Status": return WriteStatus(value);
                default:
                    if (!queuesOpen) return IoStatus.WrongState;
                    if (_queueSel >= 2) return IoStatus.NoSuchIndex;
                    _queues[_queueSel].Set(register, plus, value);
                    return IoStatus.Ok;
            }
        }

        private IoStatus WriteStatus(uint value)
        {
            uint old = Status;
            if (value == 0)
            {
                Reset();
                return IoStatus.Ok;
            }
            if (value == old) return IoStatus.Ok;
            uint core = old & ~0x40u, wanted = value & ~0x40u;
            bool legal = (value & ~old & 0x40) == 0
                && (wanted == core || wanted == (core | 0x80) || (core, wanted) is (0, 1) or (0, 3) or (1, 3) or (3, 0xb) or (0xb, 0xf));
            if (legal && (wanted & ~core & 8) != 0) legal = (Accepted & ~OfferedBits) == 0 && (Accepted & 1ul << 32) != 0;
            if (!legal) return IoStatus.Refused;
            Status = value | (old & 0x40);
            if ((wanted & ~core & 4) != 0) Activate();
            return Status == old ? IoStatus.Refused : IoStatus.Ok;
        }

        private void Activate()
        {
            if (_queues[0].Fits(64) && _queues[1].Fits(128))
            {
                Activations++;
                Active = true;
                return;
            }
            Failures++;
            Status |= 0x40;
            InterruptStatus |= 2;
        }

        private void Reset()
        {
            Resets++;
            (Status, InterruptStatus, Accepted, Active) = (0, 0, 0, false);
            (_deviceSel, _driverSel, _queueSel) = (0, 0, 0);
            foreach (Q q in _queues) q.Clear();
        }

        private sealed class Q
        {
            internal uint Size, Ready;
            private readonly ulong[] _address = new ulong[3];

            internal void Clear()
            {
                (Size, Ready) = (0, 0);
                Array.Clear(_address);
            }

            internal void Set(string register, uint plus, uint value)
            {
                if (register == "QueueNum") Size = value;
                else if (register == "QueueReady") Ready = value & 1;
                else
                {
                    ref ulong a = ref _address[register == "QueueDesc" ? 0 : register == "QueueDriver" ? 1 : 2];
                    a = plus == 0 ? (a >> 32 << 32) | value : (uint)a | ((ulong)value << 32);
                }
            }

            internal bool Fits(uint max)
            {
                if (Ready == 0) return true;
                if (Size == 0 || (Size & (Size - 1)) != 0 || Size > max) return false;
                ulong[] length = [Size * 16ul, Size * 2ul + 6, Size * 8ul + 6];
                uint[] align = [16, 2, 4];
                for (int i = 0; i < 3; i++)
                {
                    if (_address[i] == 0 || _address[i] % align[i] != 0 || _address[i] >= GuestDriver.Ram || length[i] > GuestDriver.Ram - _address[i]) return false;
                }
                return Apart(2, 0, length) && Apart(2, 1, length);
            }

            private bool Apart(int a, int b, ulong[] length) => _address[a] >= _address[b] + length[b] || _address[b] >= _address[a] + length[a];
        }
    }
}
